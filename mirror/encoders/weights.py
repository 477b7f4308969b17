"""Weights in safetensors files, judged by their headers alone: nothing is loaded."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror.encoders.architectures import Architecture
from mirror.errors import BaseModelError

ONE_FILE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MAX_HEADER = 100 << 20
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
AGAIN = "get it again from where it came from"


@dataclass(frozen=True)
class TensorEntry:
    """What a header says of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def check_weights(folder: Path, config: Mapping[str, Any], kind: Architecture) -> None:
    """Checks that the folder's weights are whole and fit the configuration.

    Raises:
        BaseModelError: they are missing, pickled, cut short, or of another model.
    """
    entries = read_entries(folder)
    found = [
        entry
        for name, entry in entries.items()
        if name.endswith(("word_embeddings.weight", "tok_embeddings.weight"))
    ]
    if not found:
        raise BaseModelError(f"the weights in {folder} hold no word embeddings: {AGAIN}")
    if found[0].shape[0] != config.get("vocab_size", found[0].shape[0]):
        raise BaseModelError(
            f"the weights in {folder} have {found[0].shape[0]} word embeddings, but config.json "
            f"says {config['vocab_size']}: weights and configuration are of two models; {AGAIN}"
        )
    layers = {
        int(match[1]) for name in entries if (match := re.search(r"\blayers?\.(\d+)\.", name))
    }
    expected = 0 if kind.shared_layers else int(config.get(kind.layer_count, len(layers)))
    if not kind.shared_layers and layers != set(range(expected)):
        raise BaseModelError(
            f"the weights in {folder} have {len(layers)} layers, but config.json says "
            f"{expected}: {AGAIN}"
        )


def read_entries(folder: Path) -> dict[str, TensorEntry]:
    """Every tensor of the folder's one or several safetensors files."""
    if (folder / ONE_FILE).is_file():
        return read_header(folder / ONE_FILE)
    if not (folder / INDEX).is_file():
        pickles = ", ".join(sorted(path.name for path in folder.glob("*.bin")))
        beside = f", only pickled weights ({pickles}), which are not read" if pickles else ""
        raise BaseModelError(
            f"no {ONE_FILE} in {folder}{beside}: convert it with "
            "AutoModelForMaskedLM.from_pretrained(...).save_pretrained(...)"
        )
    try:
        places = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
        files = sorted(set(places.values()))
        astray = [file for file in files if Path(file).name != file]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise BaseModelError(f"{folder / INDEX} cannot be read: {AGAIN}") from error
    if astray:
        raise BaseModelError(f"{folder / INDEX} names {astray[0]}, which is not beside it: {AGAIN}")
    entries = {name: entry for file in files for name, entry in read_header(folder / file).items()}
    if absent := sorted(set(places) - set(entries)):
        raise BaseModelError(f"the weights in {folder} lack {absent[0]} and maybe more: {AGAIN}")
    return entries


def read_header(path: Path) -> dict[str, TensorEntry]:
    """The header of one safetensors file, after checking that the file is as long as it says."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = path.stat().st_size
            if not 2 <= length <= min(MAX_HEADER, size - 8):
                raise BaseModelError(f"{path} is cut short or no safetensors file: {AGAIN}")
            header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        entries = {name: _entry(facts) for name, facts in header.items()}
        end = max((facts["data_offsets"][1] for facts in header.values()), default=0)
    except OSError as error:
        raise BaseModelError(f"{path} cannot be read ({error.strerror}): {AGAIN}") from error
    except (ValueError, KeyError, AttributeError, TypeError, IndexError) as error:
        raise BaseModelError(f"the header of {path} is damaged: {AGAIN}") from error
    if 8 + length + end != size:
        raise BaseModelError(
            f"{path} has {size} bytes where its header promises {8 + length + end}: {AGAIN}"
        )
    return entries


def _entry(facts: Mapping[str, Any]) -> TensorEntry:
    start, end = facts["data_offsets"]
    shape = tuple(int(length) for length in facts["shape"])
    item = ITEM_BYTES.get(facts["dtype"])
    if item is not None and end - start != item * math.prod(shape):
        raise ValueError("a tensor's length does not fit its shape")
    return TensorEntry(str(facts["dtype"]), shape)
