"""Checks of a base model's weights, from the headers of their files.

Weights are not loaded into memory, and torch is not imported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from mirror.encoders.architectures import Architecture
from mirror.errors import BaseModelError

ONE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
REMEDY = "get it again from where it came from"


def check_weights(folder: Path, config: Mapping[str, Any], kind: Architecture) -> None:
    """Check that the folder's weights are complete and fit the configuration; reads headers only.

    Raises:
        BaseModelError: they are missing, pickled, damaged, or of another model.
    """
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
