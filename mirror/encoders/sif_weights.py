"""Weights of tokens in a mean over them: what is rare in the sample says more about a text.

A token that makes up the share p of the sample counts a / (a + p) times (Arora, Liang and Ma 2017,
"A simple but tough-to-beat baseline for sentence embeddings", smooth inverse frequency).  No labels
are used.  Saved as sentence-transformers' module `WordWeights`, so that it gives the same vectors.
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
"""The paper's a, of which it says that 1e-4 to 1e-3 do alike."""


def inverse_frequencies(rows: Sequence[Sequence[int]], vocabulary: int) -> Tensor:
    """Weights (vocabulary,) of tokens, fp32, from the token ids of a sample's texts.

    The marks of a text's start and end are counted like all others, and so hardly weigh.
    """
    counts = Counter(chain.from_iterable(rows))
    total = counts.total() or 1
    shares = torch.tensor([counts[number] / total for number in range(vocabulary)])
    return SMOOTHING / (SMOOTHING + shares)


def write_token_weights(folder: Path, weights: Tensor, names: Mapping[str, int]) -> None:
    """Writes the module.

    Args:
        folder: the encoder's.
        weights: one for each row of the model's table of embeddings.
        names: the tokenizer's tokens, with their ids.
    """
    by_number = {number: name for name, number in names.items()}
    # A table of embeddings may have more rows than the tokenizer has tokens.
    tokens = [by_number.get(number, f"[no token {number}]") for number in range(len(weights))]
    config = {
        "vocab": tokens,
        "word_weights": dict(zip(tokens, weights.tolist(), strict=True)),
        "unknown_word_weight": 1.0,
    }
    place = folder / WEIGHTS
    place.mkdir(exist_ok=True)
    (place / "config.json").write_text(json.dumps(config, ensure_ascii=False) + "\n", "utf-8")


def read_token_weights(folder: Path, vocabulary: int) -> Tensor:
    """Reads what `write_token_weights` wrote: (vocabulary,), fp32.

    Raises:
        BaseModelError: it is missing or damaged, or is of another vocabulary.
    """
    path = folder / WEIGHTS / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        weights = torch.tensor([float(config["word_weights"][name]) for name in config["vocab"]])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise BaseModelError(
            f"the weights of tokens {path} cannot be read ({error}): get the encoder again"
        ) from error
    if len(weights) != vocabulary or not (weights > 0).all() or not weights.isfinite().all():
        raise BaseModelError(
            f"the weights of tokens {path} do not fit a vocabulary of {vocabulary:,}, or are "
            "not all above 0: get the encoder again"
        )
    return weights
