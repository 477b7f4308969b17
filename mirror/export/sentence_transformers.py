"""Export of an encoder as a folder for sentence-transformers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.atomic_write import atomic_folder
from mirror.encoders.base_model import MODEL_FILES, check_base

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder

CARD = "*.md"


def copy_encoder(folder: Path, target: Path) -> None:
    """Copy an encoder's folder: weights as safetensors, settings, tokenizer and card.

    Other files, such as pickles and code, are not copied.

    Raises:
        InputError: `target` exists already.
        BaseModelError: the folder has no complete model.
        TokenizerError: its tokenizer is damaged.
        StoreError: the copy cannot be written.
    """
    check_base(folder, masks=False)
    with atomic_folder(target) as out:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and any(path.match(part) for part in (*MODEL_FILES, CARD)):
                copy = out / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, copy)


def save_encoder(encoder: Encoder, target: Path) -> None:
    """Write the folder of an encoder that was loaded from a plain model.

    Raises:
        InputError: `target` exists already.
        StoreError: it cannot be written.
    """
    with atomic_folder(target) as out:
        encoder.save(out)
