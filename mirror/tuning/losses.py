"""The losses, as pure functions of two batches of vectors.

All are symmetric: each of the 2N vectors is an anchor, its positive is the other side's vector of
the same pair, and its negatives are all vectors of both sides that belong to neither.

`names` are integers that mark equal texts, which are never each other's negatives.  (N,) names one
text for each pair, that stands on both sides; (2N,) names the first side's texts and then the
second's, for pairs of different texts.  A negative is left out when its name is that of the anchor
or of the anchor's positive.  Nothing means that all pairs differ.

All are computed in fp32, whatever comes in.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def info_nce(
    first: Tensor, second: Tensor, temperature: float, names: Tensor | None = None
) -> Tensor:
    """InfoNCE with the positive in the denominator, as in the official code; mean of 2N anchors.

    The paper's equation 1 has no positive there (paper.md, part 3, no. 3): see
    `decoupled_info_nce`.

    Args:
        first: (N, width), one vector for each pair.
        second: (N, width), of the same pairs in the same order.
        temperature: tau; cosines are divided by it.
        names: (N,) or (2N,), integers; equal ones mark equal texts.

    Returns:
        A scalar.
    """
    logits, positive, negative = _logits(first, second, temperature, names)
    counted = negative.scatter(1, positive[:, None], True)
    return functional.cross_entropy(logits.masked_fill(~counted, -torch.inf), positive)


def decoupled_info_nce(
    first: Tensor, second: Tensor, temperature: float, names: Tensor | None = None
) -> Tensor:
    """The paper's equation 1: negatives alone in the denominator; mean of 2N anchors.

    Without names each anchor has 2N - 2 negatives.  It may be below zero, and an anchor that has no
    negatives at all costs nothing.

    Args:
        first: (N, width), one vector for each pair.
        second: (N, width), of the same pairs in the same order.
        temperature: tau; cosines are divided by it.
        names: (N,) or (2N,), integers; equal ones mark equal texts.

    Returns:
        A scalar.
    """
    logits, positive, negative = _logits(first, second, temperature, names)
    of_negatives = logits.masked_fill(~negative, -torch.inf).logsumexp(dim=1)
    of_positive = logits.gather(1, positive[:, None]).squeeze(1)
    return torch.where(negative.any(dim=1), of_negatives - of_positive, 0).mean()


def multi_similarity(
    first: Tensor,
    second: Tensor,
    names: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 60.0,
    base: float = 0.5,
    margin: float = 0.2,
) -> Tensor:
    """Multi-similarity loss of the hard triplets (Wang et al. 2019); mean of 2N anchors.

    The paper names it as an alternative to InfoNCE (section 2.1), and its code comes without it:
    the constants are those of the same authors' SapBERT (Liu et al. 2021), which has it.  A triplet
    is hard when the negative is at most `margin` further from the anchor than the positive is, in
    Euclidean distance of unit vectors.  What is in no hard triplet costs nothing, and no gradient
    flows through the choice.

    Args:
        first: (N, width), one vector for each pair.
        second: (N, width), of the same pairs in the same order.
        names: (N,) or (2N,), integers; equal ones mark equal texts.
        alpha: Sharpness of the positive's part.
        beta: Sharpness of the negatives' part.
        base: Cosine that positives should be above and negatives below.
        margin: Difference of distances, up to which a triplet counts as hard.

    Returns:
        A scalar.
    """
    vectors = _directions(first, second)
    positive = _positives(len(vectors), vectors.device)[:, None]
    with torch.autocast(vectors.device.type, enabled=False):
        hard = _negatives(len(vectors), names, vectors.device) & _near(vectors, positive, margin)
        cosines = vectors @ vectors.T - base
        apart = functional.softplus(-alpha * cosines.gather(1, positive).squeeze(1)) / alpha
        near = (beta * cosines).masked_fill(~hard, -torch.inf)
        # log(1 + sum of exponentials), which is 0 where nothing is hard
        near = functional.pad(near, (0, 1)).logsumexp(dim=1) / beta
        return (torch.where(hard.any(dim=1), apart, 0) + near).mean()


def mean_cosine(vectors: Tensor) -> float:
    """Mean cosine of all pairs of different rows; 1 when all vectors point the same way."""
    rows = functional.normalize(vectors.detach().float(), dim=-1)
    count = len(rows)
    return ((rows.sum(0).square().sum() - count) / (count * (count - 1))).item()


def _logits(
    first: Tensor, second: Tensor, temperature: float, names: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosines over tau (2N, 2N), and of each row its positive's column and its negatives'."""
    vectors = _directions(first, second)
    positive = _positives(len(vectors), vectors.device)
    negative = _negatives(len(vectors), names, vectors.device)
    with torch.autocast(vectors.device.type, enabled=False):
        return vectors @ vectors.T / temperature, positive, negative


def _directions(first: Tensor, second: Tensor) -> Tensor:
    """(2N, width): both sides' vectors at length 1, the first side's first."""
    return functional.normalize(torch.cat([first, second]).float(), dim=-1)


def _positives(anchors: int, device: torch.device) -> Tensor:
    """(2N,): where each anchor's positive stands."""
    return torch.arange(anchors, device=device).roll(anchors // 2)


@torch.no_grad()
def _near(vectors: Tensor, positive: Tensor, margin: float) -> Tensor:
    """(2N, 2N), booleans: at most `margin` further from the row's vector than its positive."""
    distances = torch.cdist(vectors, vectors)
    return distances - distances.gather(1, positive) <= margin


def _negatives(anchors: int, names: Tensor | None, device: torch.device) -> Tensor:
    """(2N, 2N), booleans: whether the column's vector is a negative of the row's."""
    pairs = torch.arange(anchors // 2, device=device) if names is None else names.to(device)
    of_each = pairs if len(pairs) == anchors else torch.cat([pairs, pairs])
    if len(of_each) != anchors:
        raise ValueError(f"{len(pairs)} names for {anchors // 2} pairs: give N or 2N of them")
    equal = of_each[:, None] == of_each[None, :]
    return ~(equal | equal.roll(anchors // 2, dims=0))
