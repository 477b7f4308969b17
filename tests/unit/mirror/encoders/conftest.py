"""Encoders that sentence-transformers itself saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def save_encoder(tiny_base: Path, tmp_path: Path) -> Callable[..., Path]:
    """Save a tiny model with modules of sentence-transformers; return its folder."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    def save(
        *head: Any,
        base: Path = tiny_base,
        pooling: str | tuple[str, ...] = "mean",
        before: Sequence[Any] = (),
        max_seq_length: int | None = None,
        **options: Any,
    ) -> Path:
        folder = tmp_path / f"saved-{len(list(tmp_path.glob('saved-*')))}"
        transformer = Transformer(str(base), max_seq_length=max_seq_length)
        modules = [transformer, *before, Pooling(32, pooling), *head]
        SentenceTransformer(modules=modules, device="cpu", **options).save(str(folder))
        return folder

    return save
