"""Checks of the values in a model's configuration; neither torch nor transformers is imported."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirror.encoders.architectures import Architecture
from mirror.errors import BaseModelError
from mirror.python_source import parse_python

SIZES = (
    "vocab_size",
    "hidden_size",
    "dim",
    "embedding_size",
    "intermediate_size",
    "hidden_dim",
    "num_attention_heads",
    "n_heads",
    "max_position_embeddings",
)
"""Whole numbers above 0, in all architectures."""
EPSILONS = ("layer_norm_eps", "norm_eps", "rms_norm_eps")
TOKENS = ("pad_token_id", "bos_token_id", "eos_token_id", "mask_token_id")
REMEDY = "get it again"


def check_values(path: Path, config: Mapping[str, Any], architecture: Architecture) -> None:
    """Check the values in a configuration that transformers would refuse when it loads the model.

    Values that are left out are transformers' defaults.

    Args:
        path: of the configuration, for error messages.
        config: its content.
        architecture: of its `model_type`.

    Raises:
        BaseModelError: a size, a rate, a token's number, the constant of the normalisation or the
            activation is not one that a model can have, or the heads do not divide the width.
    """
    sizes = (*SIZES, architecture.layer_count)
    for name, value in config.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in (*sizes, "type_vocab_size"):
            if not number or not isinstance(value, int):
                raise _unfit(path, name, value, "not a whole number")
            if value < (name != "type_vocab_size"):
                raise _unfit(path, name, value, "too small")
        elif name in EPSILONS and not (isinstance(value, float) and value > 0):
            raise _unfit(path, name, value, "not a fraction such as 1e-12")
        elif name in architecture.dropouts and not (number and 0 <= value <= 1):
            raise _unfit(path, name, value, "not a number from 0 to 1")
        elif name in TOKENS and not isinstance(value, int | list | None):
            raise _unfit(path, name, value, "not a whole number")
    _check_heads(path, config)
    _check_activation(path, config, architecture.activation)


def _check_heads(path: Path, config: Mapping[str, Any]) -> None:
    width = config.get("hidden_size", config.get("dim"))
    heads = config.get("num_attention_heads", config.get("n_heads"))
    if width and heads and config.get("head_dim") is None and width % heads:
        raise BaseModelError(
            f"{path} has {heads} attention heads, which do not divide its width, {width}: {REMEDY}"
        )


def _check_activation(path: Path, config: Mapping[str, Any], name: str) -> None:
    known = known_activations()
    if name in config and known and config[name] not in known:
        raise _unfit(
            path, name, config[name], f"which transformers does not have ({', '.join(known)})"
        )


def _unfit(path: Path, name: str, value: Any, fault: str) -> BaseModelError:
    return BaseModelError(f"{path} has {name} = {json.dumps(value)}, {fault}: {REMEDY}")


@cache
def known_activations() -> tuple[str, ...]:
    """Return the names of transformers' activations, read from its source without importing it.

    Returns:
        Nothing if its source has no such table, so that an unknown activation is found on loading.
    """
    spec = find_spec("transformers")
    if spec is None or spec.origin is None:
        return ()
    source = Path(spec.origin).with_name("activations.py")
    try:
        tree = parse_python(source.read_text(encoding="utf-8"))
    except (OSError, SyntaxError):
        return ()
    for node in tree.body:
        match node:
            case ast.Assign(targets=[ast.Name(id="ACT2CLS")], value=ast.Dict(keys=keys)):
                return tuple(str(key.value) for key in keys if isinstance(key, ast.Constant))
    return ()
