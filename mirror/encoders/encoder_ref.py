"""References to encoders: a model's folder, its digest, and how its vectors are pooled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from mirror.config_base import Precision
from mirror.hashing import digest_of_json, file_digests
from mirror.store import StageRecord
from mirror.tuning_config import Pooling, TuningSection

ENCODER = "encoder"
"""The encoder's folder in the stages that tune and package one."""
FULL_DIMENSION = "full_dimension"
"""The tuning stage's count of dimensions before `tuning.dimensions` lowered it."""
CARD = "README.md"
"""Not part of an encoder's digest: it changes no vector."""


@dataclass(frozen=True)
class EncoderRef:
    """A base model or an encoder on this machine."""

    folder: str
    digest: str
    """Digest of weights, configuration and tokenizer."""
    origin: str = ""
    """How the recipe or the registry names it; empty for an encoder that was just tuned."""
    label: str = "base"
    """`base`, `tuned` or `champion`, for people; not part of any stage's key."""
    pooling: Pooling | None = None
    """None: as the folder's configuration says."""
    max_tokens: int | None = None
    """None: as the folder's configuration says."""
    prompt: str | None = None
    """None: that of the folder's tokenizer, if any."""
    stored_as: Precision | None = None
    """The numbers to which vectors are rounded before they are scored; None: not rounded."""
    all_dimensions: bool = False
    """Whether the last linear layer, which lowers the dimension, is left out."""
    record: StageRecord | None = None
    """The stage that wrote the folder; None for a model from elsewhere."""


def untuned_encoder(base: EncoderRef, tuning: TuningSection) -> EncoderRef:
    """Return the base, pooled, truncated and prompted as the recipe tunes it."""
    return replace(
        base, pooling=tuning.pooling, max_tokens=tuning.encoder_tokens, prompt=tuning.prompt
    )


def tuned_encoder(record: StageRecord, label: str = "tuned") -> EncoderRef:
    """Return the encoder in the folder of a tuning or packaging stage.

    Its digest comes from the stage's manifest: no file is read.
    """
    return EncoderRef(
        str(record.path / ENCODER), tuned_digest(record.files), label=label, record=record
    )


def tuned_digest(files: Mapping[str, str]) -> str:
    """Return the digest of the encoder in a stage's folder from the stage's file digests."""
    prefix = f"{ENCODER}/"
    return encoder_digest(
        {
            name.removeprefix(prefix): digest
            for name, digest in files.items()
            if name.startswith(prefix)
        }
    )


def encoder_digest(files: Mapping[str, str]) -> str:
    """Return the digest of an encoder from the SHA-256 of its files, by relative path.

    The model card is left out: it changes no vector.
    """
    return digest_of_json({name: digest for name, digest in files.items() if name != CARD})


def folder_encoder_digest(folder: Path) -> str:
    """Return the digest of an encoder without a stage's manifest; all its files are read."""
    return encoder_digest(file_digests(folder))
