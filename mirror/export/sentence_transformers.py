"""An encoder's folder for sentence-transformers, copied or made."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.encoders.base_model import PARTS, check_base
from mirror.export.whole_folder import whole_folder

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder

CARD = "*.md"


def copy_encoder(folder: Path, place: Path) -> None:
    """Copies an encoder's folder: weights as safetensors, settings, tokenizer and card.

    What else lies in it, a pickle or code, stays behind.

    Raises:
        InputError: something is at `place` already.
        BaseModelError: the folder holds no whole model.
        TokenizerError: its tokenizer is damaged.
        StoreError: the copy cannot be written.
    """
    check_base(folder, masks=False)
    with whole_folder(place) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and any(path.match(part) for part in (*PARTS, CARD)):
                copy = out / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def save_encoder(encoder: Encoder, place: Path) -> None:
    """Writes the folder of an encoder that has been loaded from a plain model.

    Raises:
        InputError: something is at `place` already.
        StoreError: it cannot be written.
    """
    with whole_folder(place) as out:
        encoder.save(out)
