"""Where an encoder is, and how it is to be read."""

from __future__ import annotations

from dataclasses import dataclass

from mirror.tuning_config import Pooling


@dataclass(frozen=True)
class EncoderRef:
    """An encoder, or a model to be used as one."""

    folder: str
    digest: str
    pooling: Pooling | None
    """Nothing means what the folder says."""
    max_tokens: int | None
    """Likewise."""
    label: str
    """`base`, `tuned` or `champion`; for people, no part of the stage's key."""
    prompt: str | None = None
    """Nothing means what the folder's tokenizer does."""
