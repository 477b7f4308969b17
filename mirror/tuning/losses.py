"""Contrastive losses, as pure functions of two batches of vectors.

All are symmetric: each of the 2N vectors is an anchor, its positive is the other vector of its
pair, and its negatives are all vectors of other pairs.

`text_ids` are integers, equal for equal texts, which are never each other's negatives.  (N,): one
for each pair, if both views have the same text; (2N,): the first views' texts, then the second
views', for pairs of different texts.  A vector is not a negative of an anchor if it has the id of
the anchor or of the anchor's positive.  None: all texts differ.

All are computed in fp32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from mirror.tuning_config import TuningSection


class ContrastiveObjective(nn.Module):
    """The loss that a recipe asks for, on vectors that a projection head may have changed first.

    The head is used in training only; its weights come from torch's generator.
    """

    def __init__(self, settings: TuningSection, dimension: int) -> None:
        super().__init__()
        self.settings = settings
        match settings.projection_head:
            case "linear":
                self.head: nn.Module = nn.Linear(dimension, dimension)
            case "mlp":  # as in SimCSE (Gao et al. 2021), which drops it after training too
                self.head = nn.Sequential(nn.Linear(dimension, dimension), nn.Tanh())
            case "none":
                self.head = nn.Identity()

    def forward(self, first: Tensor, second: Tensor, text_ids: Tensor | None) -> Tensor:
        """Return the loss of a batch, a scalar in fp32.

        Args:
            first: (N, dimension), pooled vectors of the first views.
            second: (N, dimension), of the second views, in the same order.
            text_ids: (N,) or (2N,), as above; None if all texts differ.
        """
        first, second = self.head(first), self.head(second)
        match self.settings.loss:
            case "info-nce":
                return info_nce(first, second, self.settings.temperature, text_ids)
            case "decoupled":
                return decoupled_info_nce(first, second, self.settings.temperature, text_ids)
            case "multi-similarity":
                return multi_similarity(first, second, text_ids)


def info_nce(
    first: Tensor, second: Tensor, temperature: float, text_ids: Tensor | None = None
) -> Tensor:
    """Return InfoNCE, the positive in the denominator as in the official code; mean of anchors.

    The paper's equation 1 has no positive there (docs/official-code.md, fault 3): see
    `decoupled_info_nce`.

    Args:
        first: (N, dimension), one vector for each pair.
        second: (N, dimension), of the same pairs in the same order.
        temperature: tau; cosines are divided by it.
        text_ids: (N,) or (2N,), integers; equal ones mark equal texts.

    Returns:
        A scalar.
    """
    logits, positive, negative = _logits(first, second, temperature, text_ids)
    counted = negative.scatter(1, positive[:, None], True)
    return functional.cross_entropy(logits.masked_fill(~counted, -torch.inf), positive)


def decoupled_info_nce(
    first: Tensor, second: Tensor, temperature: float, text_ids: Tensor | None = None
) -> Tensor:
    """Return the paper's equation 1: only negatives in the denominator; mean of 2N anchors.

    Without `text_ids` each anchor has 2N - 2 negatives.  The loss may be negative; an anchor that
    has no negatives adds 0.

    Args:
        first: (N, dimension), one vector for each pair.
        second: (N, dimension), of the same pairs in the same order.
        temperature: tau; cosines are divided by it.
        text_ids: (N,) or (2N,), integers; equal ones mark equal texts.

    Returns:
        A scalar.
    """
    logits, positive, negative = _logits(first, second, temperature, text_ids)
    of_negatives = logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1)
    of_positive = logits.gather(1, positive[:, None]).squeeze(1)
    return torch.where(negative.any(dim=1), of_negatives - of_positive, 0).mean()


def multi_similarity(
    first: Tensor,
    second: Tensor,
    text_ids: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 60.0,
    base: float = 0.5,
    margin: float = 0.2,
) -> Tensor:
    """Return the multi-similarity loss of hard triplets (Wang et al. 2019); mean of 2N anchors.

    The paper names it as an alternative to InfoNCE (section 2.1); the constants are those of the
    same authors' SapBERT (Liu et al. 2021).  A triplet is hard when the negative is at most
    `margin` further from the anchor than the positive is, in Euclidean distance of unit vectors.
    Other pairs add 0.

    Args:
        first: (N, dimension), one vector for each pair.
        second: (N, dimension), of the same pairs in the same order.
        text_ids: (N,) or (2N,), integers; equal ones mark equal texts.
        alpha: sharpness of the positive term.
        beta: sharpness of the negative term.
        base: cosine that positives should be above and negatives below.
        margin: difference of distances up to which a triplet is hard.

    Returns:
        A scalar.
    """
    vectors = _unit_vectors(first, second)
    positive = _positive_columns(len(vectors), vectors.device)[:, None]
    with torch.autocast(vectors.device.type, enabled=False):
        hard = _negative_mask(len(vectors), text_ids, vectors.device) & _within_margin(
            vectors, positive, margin
        )
        cosines = vectors @ vectors.T - base
        apart = functional.softplus(-alpha * cosines.gather(1, positive).squeeze(1)) / alpha
        near = (beta * cosines).masked_fill(~hard, -torch.inf)
        near = functional.pad(near, (0, 1)).logsumexp(dim=1) / beta  # log(1 + sum of exp)
        return (torch.where(hard.any(dim=1), apart, 0) + near).mean()


def mean_cosine(vectors: Tensor) -> float:
    """Return the mean cosine of all pairs of different rows; 1 for vectors of one direction."""
    rows = functional.normalize(vectors.detach().float(), dim=-1)
    count = len(rows)
    return ((rows.sum(0).square().sum() - count) / (count * (count - 1))).item()


def _logits(
    first: Tensor, second: Tensor, temperature: float, text_ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return cosines over tau (2N, 2N), each row's positive column and its mask of negatives."""
    vectors = _unit_vectors(first, second)
    positive = _positive_columns(len(vectors), vectors.device)
    negative = _negative_mask(len(vectors), text_ids, vectors.device)
    with torch.autocast(vectors.device.type, enabled=False):
        return vectors @ vectors.T / temperature, positive, negative


def _unit_vectors(first: Tensor, second: Tensor) -> Tensor:
    """Return the vectors of both views at length 1, (2N, dimension), the first views first."""
    return functional.normalize(torch.cat([first, second]).float(), dim=-1)


def _positive_columns(anchors: int, device: torch.device) -> Tensor:
    """Return each anchor's column of its positive, (2N,)."""
    return torch.arange(anchors, device=device).roll(anchors // 2)


@torch.no_grad()
def _within_margin(vectors: Tensor, positive: Tensor, margin: float) -> Tensor:
    """Return (2N, 2N): whether a column is at most `margin` further than the row's positive."""
    distances = torch.cdist(vectors, vectors)
    return distances - distances.gather(1, positive) <= margin


def _negative_mask(anchors: int, text_ids: Tensor | None, device: torch.device) -> Tensor:
    """Return (2N, 2N): whether the column's vector is a negative of the row's."""
    pairs = torch.arange(anchors // 2, device=device) if text_ids is None else text_ids.to(device)
    of_each = pairs if len(pairs) == anchors else torch.cat([pairs, pairs])
    if len(of_each) != anchors:
        raise ValueError(f"{len(pairs)} text ids for {anchors // 2} pairs: give N or 2N of them")
    equal = of_each[:, None] == of_each[None, :]
    return ~(equal | equal.roll(anchors // 2, dims=0))
