"""Which step's weights to keep, judged without labels on items that tuning does not see.

Wang and Isola (2020) measure an encoder by how near the two views of a text are to each other
(alignment) and how evenly texts are spread (uniformity); a contrastive loss wants both low.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from mirror.tuning.views import TextPair

SHARE, LEAST, MOST = 0.05, 2, 500
"""Of the different items, how many are held out: a twentieth, and no more than are needed."""


def hold_out(items: Sequence[TextPair], seed: int) -> tuple[list[TextPair], list[TextPair]]:
    """Items to tune on and items to measure on, drawn with the seed.

    Equal items are all held out or all tuned on.  The text of one labelled pair may stand in
    another that is tuned on.
    """
    different = list(dict.fromkeys(items))
    count = min(max(LEAST, math.ceil(SHARE * len(different))), MOST, len(different))
    drawn = random.Random(f"held out {seed}").sample(different, count)
    held = set(drawn)
    return [item for item in items if item not in held], drawn


def alignment_and_uniformity(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Both measures of two views of the same items, at length 1; lower is better.

    Args:
        first: (items, width), one view of each.
        second: (items, width), the other view.

    Returns:
        Mean squared distance of both views (alpha = 2), from 0 to 4; and the mean of both sides'
        log mean of exp(-2 · squared distance) over pairs of different items (t = 2), -8 to 0.
    """
    sides = [functional.normalize(side.double(), dim=-1) for side in (first, second)]
    apart = (sides[0] - sides[1]).square().sum(1).mean().item()
    pairs = len(first) * (len(first) - 1) / 2
    spread = [(-2 * functional.pdist(side).square()).logsumexp(0).item() for side in sides]
    return apart, sum(spread) / 2 - math.log(pairs)


def best_step(measures: Sequence[dict[str, float]]) -> int:
    """The step with the least sum of alignment and uniformity; the first of equal ones."""
    return int(min(measures, key=sum_of)["step"])


def sum_of(measure: dict[str, float]) -> float:
    """Alignment and uniformity together, as Wang and Isola weigh them in their experiments."""
    return measure["alignment"] + measure["uniformity"]
