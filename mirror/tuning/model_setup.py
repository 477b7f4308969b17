"""Set-up of a base for tuning: pooling, dropout, token weights, precision."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.model_loading import device_has_bf16
from mirror.encoders.sif_weights import inverse_frequencies
from mirror.tuning.drophead import attach_drophead
from mirror.tuning.items import Item
from mirror.tuning_config import TuningSection


def load_encoder(settings: TuningSection, base: Path, items: Sequence[Item]) -> Encoder:
    """Load the base as an encoder that tunes as the settings say.

    Args:
        settings: a recipe's `[tuning]`.
        base: the model's folder.
        items: give the frequencies of tokens for `weighting`.
    """
    encoder = Encoder.load(
        base,
        settings.pooling,
        settings.max_tokens,
        dropout=settings.dropout_rate,
        prompt=settings.prompt,
        lowercase=settings.lowercase,
    )
    if settings.drophead_rate:
        attach_drophead(encoder.model, settings.drophead_rate)
    if settings.weighting == "inverse-frequency":
        rows = encoder.token_ids([text for item in items for text in item.texts])
        vocab_size = int(encoder.model.config.vocab_size)
        encoder.token_weights = inverse_frequencies(rows, vocab_size)
    return encoder


def uses_bf16(settings: TuningSection, device: torch.device) -> bool:
    """Return whether the forward pass is in bf16."""
    if settings.precision == "auto":
        return device_has_bf16(device)
    return settings.precision == "bf16"


def make_cuda_repeatable() -> None:
    """Let CUDA's kernels add in a fixed order where they can."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
