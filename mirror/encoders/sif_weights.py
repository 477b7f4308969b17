"""SIF weights: smooth inverse frequency of tokens, for weighted mean pooling.

A token with the relative frequency p in the sample has the weight a / (a + p) (Arora, Liang and Ma
2017, "A simple but tough-to-beat baseline for sentence embeddings").  No labels are used.  The
weights are saved as sentence-transformers' module `WordWeights`, which gives the same vectors.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mirror.encoders.sentence_transformers_format import WEIGHTS
from mirror.errors import BaseModelError

SMOOTHING = 1e-3
"""The paper's a; it finds 1e-4 to 1e-3 equally good."""


def inverse_frequencies(rows: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
    """Return the weight of each token, (vocabulary,), fp32.

    Special tokens are counted like all others: they are frequent, so their weights are small.

    Args:
        rows: token ids of the sample's texts, special tokens included.
        vocabulary: number of tokens.
    """
    counts = Counter(chain.from_iterable(rows))
    total = counts.total() or 1
    shares = torch.tensor([counts[number] / total for number in range(vocabulary)])
    return SMOOTHING / (SMOOTHING + shares)


def write_token_weights(folder: Path, weights: Tensor, names: Mapping[str, int]) -> None:
    """Write the module `WordWeights`.

    Args:
        folder: the encoder's.
        weights: (rows,), one for each row of the model's token embeddings.
        names: id of each of the tokenizer's tokens.
    """
    by_number = {number: name for name, number in names.items()}
    # Token embeddings may have more rows than the tokenizer has tokens.
    tokens = [by_number.get(number, f"[no token {number}]") for number in range(len(weights))]
    config = {
        "vocab": tokens,
        "word_weights": dict(zip(tokens, weights.tolist(), strict=True)),
        "unknown_word_weight": 1.0,
    }
    module = folder / WEIGHTS
    module.mkdir(exist_ok=True)
    (module / "config.json").write_text(json.dumps(config, ensure_ascii=False) + "\n", "utf-8")


def read_token_weights(folder: Path, vocabulary: int) -> Tensor:
    """Return the weights that `write_token_weights` wrote: (vocabulary,), fp32."""
    path = folder / WEIGHTS / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        weights = torch.tensor([float(config["word_weights"][name]) for name in config["vocab"]])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BaseModelError(
            f"the token weights in {path} cannot be read ({error}): get the encoder again"
        ) from error
    if len(weights) != vocabulary or not (weights > 0).all() or not weights.isfinite().all():
        raise BaseModelError(
            f"the token weights in {path} do not fit a vocabulary of {vocabulary:,}, or are "
            "not all above 0: get the encoder again"
        )
    return weights
