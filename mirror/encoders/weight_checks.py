"""Checks of a base model's weights, from their files; torch is not imported."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from mirror.encoders.architectures import Architecture
from mirror.errors import BaseModelError

ONE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
EXPONENTS: dict[str, np.unsignedinteger[Any]] = {
    "F64": np.uint64(0x7FF0_0000_0000_0000),
    "F32": np.uint32(0x7F80_0000),
    "F16": np.uint16(0x7C00),
    "BF16": np.uint16(0x7F80),
}
"""Bits that are all set in NaN and infinity only, by the type's name in safetensors."""
WHOLE = ("I64", "I32", "BOOL")
"""Types of buffers, such as positions."""
CHUNK = 1 << 22
PARAMETERS = ("weight", "bias", "gamma", "beta")
EMBEDDINGS = (
    "word_embeddings",
    "tok_embeddings",
    "position_embeddings",
    "token_type_embeddings",
    "embed_proj",
    "LayerNorm",
    "norm",
    "position_ids",
    "token_type_ids",
)
"""Modules and buffers of the embeddings, in all architectures."""
REMEDY = "get it again from where it came from"


def check_weights(folder: Path, config: Mapping[str, Any], kind: Architecture) -> None:
    """Check that the folder's weights are complete, finite and fit the configuration."""
    shapes = _read_shapes(folder)
    embeddings = [
        shape
        for name, shape in shapes.items()
        if name.endswith(("word_embeddings.weight", "tok_embeddings.weight", "embed_tokens.weight"))
    ]
    if not embeddings:
        raise BaseModelError(f"the weights in {folder} have no word embeddings: {REMEDY}")
    rows = embeddings[0][0]
    if rows != config.get("vocab_size", rows):
        raise BaseModelError(
            f"the weights in {folder} have {rows} word embeddings, but config.json "
            f"says {config['vocab_size']}: weights and configuration are of two models; {REMEDY}"
        )
    layers = {int(match[1]) for name in shapes if (match := re.search(r"\blayers?\.(\d+)\.", name))}
    expected = 0 if kind.shared_layers else int(config.get(kind.layer_count, len(layers)))
    if not kind.shared_layers and layers != set(range(expected)):
        raise BaseModelError(
            f"the weights in {folder} have {len(layers)} layers, but config.json says "
            f"{expected}: {REMEDY}"
        )
    _check_shapes(shapes, config, folder)
    _check_layers(shapes, folder)
    if unused := [name for name in shapes if _is_unused(name, kind)]:
        raise BaseModelError(
            f"the weights in {folder} have {unused[0]} and {len(unused) - 1} more, which the "
            f"{config.get('model_type')} of transformers does not use: choose another base"
        )
    for path in sorted(folder.rglob("*.safetensors")):
        check_finite(path)


def _check_shapes(
    shapes: Mapping[str, Sequence[int]], config: Mapping[str, Any], folder: Path
) -> None:
    """Check that the embeddings fit the configuration."""
    width = config.get("embedding_size") or config.get("hidden_size") or config.get("dim")
    for name, shape in shapes.items():
        for part, rows in (
            ("word", None),
            ("position", config.get("max_position_embeddings")),
            ("token_type", config.get("type_vocab_size")),
        ):
            if not name.endswith(f"embeddings.{part}_embeddings.weight"):
                continue
            if expected := [
                n for n, m in zip((rows, width), shape, strict=False) if n not in (None, m)
            ]:
                raise BaseModelError(
                    f"{name} in the weights in {folder} is {'x'.join(map(str, shape))}, but "
                    f"config.json says {expected[0]}: {REMEDY}"
                )


def _check_layers(shapes: Mapping[str, Sequence[int]], folder: Path) -> None:
    """Check that the layers of a stack after its first have the same weights."""
    stacks: dict[str, dict[str, dict[str, Sequence[int]]]] = {}
    for name, shape in shapes.items():
        match = re.search(r"^(.*\blayers?)\.(\d+)\.(.+)$", name)
        if match and match[2] != "0":
            stacks.setdefault(match[1], {}).setdefault(match[2], {})[match[3]] = shape
    for stack, layers in stacks.items():
        every = {part: shape for parts in layers.values() for part, shape in parts.items()}
        for number, parts in layers.items():
            if different := [part for part in every if parts.get(part) != every[part]]:
                raise BaseModelError(
                    f"the weights in {folder} lack {stack}.{number}.{different[0]}, or it has "
                    f"another shape than in other layers: {REMEDY}"
                )


def _is_unused(name: str, kind: Architecture) -> bool:
    """Return whether a weight of the layers or the embeddings belongs to no module of the kind.

    Heads and poolers are not looked at.
    """
    if inner := re.search(r"layers?\.\d+\.(.+)$", name):
        return not {*inner[1].split(".")} <= {*kind.layer_parts.split(), *PARAMETERS}
    inner = re.search(r"(?:^|\.)embeddings\.([^.]+)", name)
    return inner is not None and inner[1] not in EMBEDDINGS


def _read_shapes(folder: Path) -> dict[str, list[int]]:
    """Return the shape of every tensor in the folder's one or several safetensors files."""
    if (folder / ONE_FILE).is_file():
        return _file_shapes(folder / ONE_FILE)
    if not (folder / INDEX).is_file():
        pickles = ", ".join(sorted(path.name for path in folder.glob("*.bin")))
        instead = f", only pickled weights ({pickles}), which are not read" if pickles else ""
        raise BaseModelError(
            f"no {ONE_FILE} in {folder}{instead}: convert it with "
            "AutoModelForMaskedLM.from_pretrained(...).save_pretrained(...)"
        )
    try:
        weight_map = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(weight_map.values()))
        outside = [file for file in files if Path(file).name != file]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BaseModelError(f"{folder / INDEX} cannot be read: {REMEDY}") from error
    if outside:
        raise BaseModelError(f"{folder / INDEX} names {outside[0]}, which is elsewhere: {REMEDY}")
    shapes = {name: shape for file in files for name, shape in _file_shapes(folder / file).items()}
    if missing := sorted(set(weight_map) - set(shapes)):
        raise BaseModelError(f"the weights in {folder} lack {missing[0]} and maybe more: {REMEDY}")
    return shapes


def _file_shapes(path: Path) -> dict[str, list[int]]:
    """Return the shapes in a file; safetensors checks that header and length fit each other."""
    try:
        with safe_open(path, "numpy") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise BaseModelError(f"{path} cannot be read ({error}): {REMEDY}") from error
    except SafetensorError as error:
        raise BaseModelError(
            f"{path} is truncated, damaged or no safetensors file ({error}): {REMEDY}"
        ) from error


def check_finite(path: Path) -> None:
    """Check that a safetensors file holds no NaN and no infinity; 1 GB takes about a second."""
    _file_shapes(path)  # reads the header safely
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
    content = np.memmap(path, np.uint8, "r", offset=8 + size)
    for name, tensor in header.items():
        if name == "__metadata__" or tensor["dtype"] in WHOLE:
            continue
        if tensor["dtype"] not in EXPONENTS:
            raise BaseModelError(
                f"{name} in {path} is of type {tensor['dtype']}, as in quantized weights, which "
                "cannot be tuned: choose the model as it was before quantization"
            )
        exponent = EXPONENTS[tensor["dtype"]]
        start, end = tensor["data_offsets"]
        numbers = content[start:end].view(exponent.dtype)
        for first in range(0, len(numbers), CHUNK):
            if ((numbers[first : first + CHUNK] & exponent) == exponent).any():
                raise BaseModelError(
                    f"{name} in {path} is not finite everywhere (NaN or infinity): {REMEDY}"
                )
