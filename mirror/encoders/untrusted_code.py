"""Untrusted code: a check that an encoder's folder contains none and names none.

`Encoder.load` imports no class named in a folder.  sentence-transformers does if it may trust
remote code, and MLflow loads models that way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import MODEL_FILES
from mirror.encoders.sentence_transformers_reader import ACTIVATIONS
from mirror.errors import BaseModelError

CARD = "*.md"
MODULES = "modules.json"
ALLOWED_MODULES = re.compile(
    r"sentence_transformers\.[a-z_.]*"
    r"(Transformer|WeightedLayerPooling|WordWeights|Pooling|Dense|Normalize)"
)
"""Modules of sentence-transformers that read no pickle and import no further class."""
VOCABULARIES = ("tokenizer.json", "vocab.json")
"""Files whose keys are tokens, not settings."""
CODE_SETTINGS = ("auto_map", "custom_generate", "trust_remote_code")
"""Settings that name code, or allow it."""
ACTIVATION = "activation_function"
"""Setting that names a class, which is imported and called."""


def check_no_code(folder: Path) -> None:
    """Check that an encoder's folder has only a model's files, and that its settings name no code.

    Raises:
        BaseModelError: another file, a link, or a setting that names code.
    """
    for path in sorted(folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            continue
        if path.is_symlink() or not any(path.match(pattern) for pattern in (*MODEL_FILES, CARD)):
            raise _code_error(path, "is not a file of a model")
        if path.suffix == ".json" and path.name not in VOCABULARIES:
            _check_settings(path)


def _check_settings(path: Path) -> None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BaseModelError(f"{path} cannot be read as JSON: get the encoder again") from error
    for key, value in _settings(content):
        if key in CODE_SETTINGS and value:
            raise _code_error(path, f"names code of its own ({key})")
        if key == ACTIVATION and value not in ACTIVATIONS:
            raise _code_error(path, f"names {value!r} to be called")
    modules = content if path.name == MODULES and isinstance(content, list) else []
    for module in modules:
        kind = module.get("type") if isinstance(module, dict) else module
        if not ALLOWED_MODULES.fullmatch(str(kind)):
            raise _code_error(path, f"names the module {kind!r}, which is not allowed")


def _settings(content: Any) -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth."""
    waiting = [content]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield from value.items()
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _code_error(path: Path, problem: str) -> BaseModelError:
    return BaseModelError(
        f"{path} {problem}, and code that comes with a model is never run: register an encoder "
        "that `mirror run` made"
    )
