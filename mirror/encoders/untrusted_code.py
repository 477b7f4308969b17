"""Whether an encoder's folder brings code: for readers that would run what it names.

`Encoder.load` imports nothing that a folder names.  sentence-transformers does where it is told to
trust a folder, and MLflow tells it so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import PARTS
from mirror.encoders.sentence_transformers_format import LINEAR
from mirror.errors import BaseModelError

CARD = "*.md"
MODULES = "modules.json"
OWN_MODULES = re.compile(
    r"sentence_transformers\.[a-z_.]*"
    r"(Transformer|WeightedLayerPooling|WordWeights|Pooling|Dense|Normalize)"
)
"""Those of its modules that read no pickle and name no further class."""
VOCABULARIES = ("tokenizer.json", "vocab.json")
"""Their keys are words."""
RUN = ("auto_map", "custom_generate", "trust_remote_code")
"""Keys of settings that name code, or say that it may be run."""
CALLED = "activation_function"
"""A class by its name, which is imported and called."""


def check_no_code(folder: Path) -> None:
    """Checks that an encoder's folder holds parts of a model, and settings that name no code.

    Raises:
        BaseModelError: it holds something else, or they do.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or not any(path.match(part) for part in (*PARTS, CARD)):
            raise _brings(path, "is no part of a model")
        if path.suffix == ".json" and path.name not in VOCABULARIES:
            _check_settings(path)


def _check_settings(path: Path) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(f"{path} cannot be read as JSON: get the encoder again") from error
    for key, value in _settings(content):
        if key in RUN and value:
            raise _brings(path, f"asks for code of its own ({key})")
        if key == CALLED and value != LINEAR:
            raise _brings(path, f"names {value!r} to be called")
    modules = content if path.name == MODULES and isinstance(content, list) else []
    for module in modules:
        kind = module.get("type") if isinstance(module, dict) else module
        if not OWN_MODULES.fullmatch(str(kind)):
            raise _brings(path, f"names the module {kind!r}, which none of our encoders has")


def _settings(content: Any) -> Iterator[tuple[str, Any]]:
    """Every key with its value, however deep."""
    waiting = [content]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield from found.items()
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)


def _brings(path: Path, what: str) -> BaseModelError:
    return BaseModelError(
        f"{path} {what}, and code that comes with a model is never run: register an encoder that "
        "`mirror run` made"
    )
