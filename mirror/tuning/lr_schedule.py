"""Learning rate of each step."""

from __future__ import annotations

import math

from mirror.tuning_config import TuningSection


def learning_rate(settings: TuningSection, step: int, total: int) -> float:
    """Return the learning rate of a step, counted from 0, of `total`."""
    assert settings.learning_rate is not None  # noqa: S101  # set by `settle_recipe`
    warmup_steps = math.ceil(settings.warmup_ratio * total)
    factor = min(1.0, (step + 1) / max(1, warmup_steps))
    if settings.lr_scheduler == "linear" and step >= warmup_steps:
        factor = (total - step) / (total - warmup_steps)
    return settings.learning_rate * factor
