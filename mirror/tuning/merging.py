"""Choice of the encoder's weights: the best checkpoint, merged with the base's weights.

Linear mixtures of tuned and original weights keep what the base knows (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models", WiSE-FT).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mirror.store import flush

log = logging.getLogger(__name__)

BEST = "best.safetensors"
SMALLER_SHARES = (0.35, 0.25, 0.18, 0.125)
"""Tried in turn if the guard falls with all others; below the last little is left of the gain."""

Weights = Mapping[str, Tensor]


@dataclass(frozen=True)
class Candidate:
    """Weights that were scored."""

    share: float
    """Share of the tuned weights; the rest is the base's."""
    scores: Mapping[str, float]
    """Validation scores; see `ValidationSet.score`."""
    guard: float | None = None
    """Score on the guard; None if the recipe has none."""


def save_best(work: Path, model: nn.Module) -> None:
    """Write a model's weights as the best so far, atomically."""
    fresh = work / f"{BEST}.new"
    save_file({name: each.contiguous() for name, each in weights_of(model).items()}, fresh)
    flush(fresh)
    fresh.rename(work / BEST)


def load_best(work: Path, model: nn.Module) -> None:
    """Load the weights that `save_best` wrote."""
    set_weights(model, load_file(work / BEST))


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    """Return every parameter on the CPU, by name; those of a model on the CPU are not copied."""
    return {name: weight.detach().cpu() for name, weight in model.named_parameters()}


@torch.no_grad()
def set_weights(model: nn.Module, weights: Weights) -> None:
    """Copy weights into the parameters of the same names."""
    for name, parameter in model.named_parameters():
        parameter.copy_(weights[name])


def merge(base: Weights, tuned: Weights, share: float) -> dict[str, Tensor]:
    """Return `share` of the tuned weights plus the rest of the base's."""
    return {name: torch.lerp(base[name], tuned[name], share) for name in tuned}


def choose(
    model: nn.Module,
    base: Weights,
    shares: Sequence[float],
    score: Callable[[float], Candidate],
    lowest_guard: float | None,
) -> list[Candidate]:
    """Set the model's weights to the best merge of base and tuned weights.

    The best has the highest validation mean of those whose guard is not below `lowest_guard`; if
    all are, `SMALLER_SHARES` are tried, then the highest guard counts.

    Args:
        model: has the tuned weights.
        base: the weights before tuning.
        shares: of the tuned weights; 1 is always tried, and the larger of equal ones is better.
        score: scores the model's present weights, given their share.
        lowest_guard: None if there is no guard.

    Returns:
        All candidates, the chosen one first.
    """
    tuned = {name: weight.clone() for name, weight in weights_of(model).items()}

    def score_merge(share: float) -> Candidate:
        set_weights(model, tuned if share == 1 else merge(base, tuned, share))
        return score(share)

    candidates = [score_merge(share) for share in sorted({1.0, *shares}, reverse=True)]
    for share in SMALLER_SHARES:
        if any(_is_within(each, lowest_guard) for each in candidates):
            break
        if share < candidates[-1].share:
            candidates.append(score_merge(share))
    best = _best_of(candidates, lowest_guard)
    set_weights(model, tuned if best.share == 1 else merge(base, tuned, best.share))
    return [best, *(each for each in candidates if each is not best)]


def _best_of(candidates: Sequence[Candidate], lowest_guard: float | None) -> Candidate:
    if within_guard := [each for each in candidates if _is_within(each, lowest_guard)]:
        return max(within_guard, key=lambda each: (each.scores["mean"], each.share))
    best = max(candidates, key=lambda each: (each.guard or 0.0, each.share))
    log.warning(
        "the guard falls below %.3f with every share of the tuned weights; with %g of them it is "
        "%.3f: lower tuning.learning_rate",
        lowest_guard,
        best.share,
        best.guard,
    )
    return best


def _is_within(candidate: Candidate, lowest_guard: float | None) -> bool:
    if lowest_guard is None or candidate.guard is None:
        return True
    return candidate.guard >= lowest_guard
