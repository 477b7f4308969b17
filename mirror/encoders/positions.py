"""Positions of a text's tokens, for models that do not number them from 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from mirror.encoders.architectures import ARCHITECTURES

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def model_positions(config: PretrainedConfig, ids: Tensor) -> dict[str, Tensor]:
    """Return the model's argument `position_ids`, (texts, tokens), if it is not the tokens' order.

    transformers derives the same from ids, but not from embeddings.
    """
    kind = ARCHITECTURES[config.model_type]
    if not kind.counts_from_padding:
        return {}
    pad_id = kind.pad_id(config.pad_token_id)
    counted = ids != pad_id
    return {"position_ids": counted.cumsum(1) * counted + pad_id}
