"""Copies for sentence-transformers."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mirror.encoders.encoder import Encoder
from mirror.encoders.fitted_layers import fit_whitening
from mirror.errors import BaseModelError
from mirror.export.sentence_transformers import copy_encoder, save_encoder
from mirror.hashing import file_digests


def test_a_copy_has_the_same_bytes_and_no_pickle_or_code(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 24)
    encoder.append_layer(fit_whitening(encoder.encode(sentences[:64]), 0.25))
    source = tmp_path / "source"
    encoder.save(source)
    (source / "README.md").write_text("a card")
    whole = file_digests(source)
    for name in ("pytorch_model.bin", "optimizer.pt", "modeling.py", "2_Dense/old.pkl"):
        (source / name).write_bytes(b"\x80\x04.")
    copy_encoder(source, tmp_path / "copy")
    assert file_digests(tmp_path / "copy") == whole


def test_sentence_transformers_reads_a_saved_plain_model(
    tiny_base: Path, sentences: list[str], tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    encoder = Encoder.load(tiny_base, "cls", 24)
    save_encoder(encoder, tmp_path / "saved")
    read = SentenceTransformer(str(tmp_path / "saved"), device="cpu", local_files_only=True)
    found = read.encode(sentences[:4])
    np.testing.assert_allclose(found, encoder.encode(sentences[:4]), atol=1e-5)


def test_a_damaged_folder_is_not_copied(tiny_base: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(tiny_base, tmp_path / "source"))
    (source / "model.safetensors").write_bytes(b"short")
    with pytest.raises(BaseModelError):
        copy_encoder(source, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
