"""Model configuration (`config.json`): reading and checks.

Neither torch nor transformers is imported.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mirror.encoders.architectures import ARCHITECTURES, Architecture
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


def read_config(folder: Path) -> dict[str, Any]:
    """Return the model's configuration.

    Raises:
        BaseModelError: the configuration is missing or damaged, has values that no model can have,
            names code of its own, or names other weights than those checked here.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BaseModelError(
            f"no base model in {folder}: config.json is missing; name a folder saved with "
            "save_pretrained"
        ) from error
    except (OSError, ValueError) as error:
        raise BaseModelError(f"{path} cannot be read as JSON ({error}): get it again") from error
    if not isinstance(config, dict):
        raise BaseModelError(f"{path} is not a JSON object: get it again")
    _check_no_other_weights(folder, config)
    if architecture := ARCHITECTURES.get(str(config.get("model_type"))):
        check_values(path, config, architecture)
        if architecture.replaces_code:
            config.pop("auto_map", None)
    for name, settings in ((path, config), *_tokenizer_settings(folder)):
        if "auto_map" in settings or _names_kernel(settings):
            raise BaseModelError(
                f"{name} names code of its own (auto_map, or a kernel from a hub), which is never "
                f"run: choose a model of a supported architecture ({', '.join(ARCHITECTURES)})"
            )
    return config


def _check_no_other_weights(folder: Path, config: dict[str, Any]) -> None:
    # transformers would read them instead of the weights that are checked and hashed.
    adapter = folder / "adapter_config.json"
    if config.get("quantization_config"):
        raise BaseModelError(
            f"the weights in {folder} are quantized (quantization_config in config.json), and such "
            "weights cannot be tuned: choose the model as it was before quantization"
        )
    if "transformers_weights" in config or adapter.exists():
        source = adapter.name if adapter.exists() else "transformers_weights in config.json"
        raise BaseModelError(
            f"the model in {folder} names other weights than model.safetensors ({source}), "
            "which are not read: load it with its library, and save the merged model with "
            "save_pretrained"
        )


def _names_kernel(settings: dict[str, Any]) -> bool:
    """Return whether the settings name a kernel that transformers would download and run."""
    chosen = [value for name, value in settings.items() if name.endswith("_implementation")]
    return "/" in json.dumps(chosen)


def architecture_of(config: dict[str, Any], folder: Path) -> Architecture:
    """Return the architecture of a model.

    Raises:
        BaseModelError: the architecture cannot be tuned.
    """
    kind = config.get("model_type")
    if kind is None:
        raise BaseModelError(
            f"{folder / 'config.json'} has no model_type, as in files of before 2020: add a line "
            f'such as "model_type": "{_likely_kind(config)}"'
        )
    if not isinstance(kind, str) or kind not in ARCHITECTURES:
        raise BaseModelError(
            f"the model in {folder} is of kind {kind!r}, which cannot be tuned: choose one of "
            f"{', '.join(ARCHITECTURES)}"
        )
    architecture = ARCHITECTURES[kind]
    positions = config.get("position_embedding_type") or architecture.positions[0]
    if positions not in architecture.positions:
        raise BaseModelError(
            f"the model in {folder} has position_embedding_type {positions!r}, which transformers "
            f"no longer computes for {kind!r}: its weights would be left out; choose another base"
        )
    return architecture


def _likely_kind(config: dict[str, Any]) -> str:
    """Return the architecture that the names of model classes in a configuration begin with."""
    names = "".join(map(str, config.get("architectures") or ())).lower()
    kinds = {kind: kind.replace("-", "").replace("_", "") for kind in ARCHITECTURES}
    fitting = [kind for kind, start in kinds.items() if names.startswith(start)]
    return max(fitting, key=len, default="bert")


def hidden_size(config: dict[str, Any]) -> int:
    """Return the width of a model's layers, by whichever name its kind has for it.

    Raises:
        BaseModelError: the configuration has none of the names.
    """
    names = ("hidden_size", "dim", "n_embd")
    for name in names:
        if isinstance(width := config.get(name), int) and width > 0:
            return width
    raise BaseModelError(
        "config.json does not say how wide the model is (hidden_size): load it with transformers "
        "and save it again"
    )


def token_limit(folder: Path) -> int | None:
    """Return the most tokens of a text that a folder's model takes; None if not configured.

    Raises:
        BaseModelError: the configuration is missing, damaged, or of an unsupported architecture.
    """
    config = read_config(folder)
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int):
        return None
    return architecture_of(config, folder).longest_text(positions, config.get("pad_token_id"))


def _tokenizer_settings(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    path = folder / "tokenizer_config.json"
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []  # reported by the check of the tokenizer
    return [(path, settings)] if isinstance(settings, dict) else []


def check_values(path: Path, config: Mapping[str, Any], architecture: Architecture) -> None:
    """Check the values in a configuration that transformers would refuse when it loads the model.

    Values that are left out are transformers' defaults.

    Args:
        path: of the configuration, for error messages.
        config: its content.
        architecture: of its `model_type`.
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
