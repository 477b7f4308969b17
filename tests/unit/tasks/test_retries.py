"""Which tasks are tried again."""

from __future__ import annotations

from typing import Any

import pytest

from tasks import gate, preflight, registry, stages
from tasks.retries import RETRIES, may_answer_later


@pytest.mark.parametrize(
    "made",
    [
        stages.resolve_base,
        stages.ingest_corpus,
        preflight.check_ready,
        registry.fetch_champion,
        registry.register,
    ],
    ids=lambda made: made.name,
)
def test_tasks_that_ask_a_service_may_ask_again(made: Any) -> None:
    assert (made.retries, made.retry_condition_fn) == (RETRIES["retries"], may_answer_later)


@pytest.mark.parametrize(
    "made",
    [
        gate.decide,
        stages.draw_sample,
        stages.evaluate,
        stages.package,
        stages.tune,
    ],
    ids=lambda made: made.name,
)
def test_tasks_that_only_compute_are_not_tried_again(made: Any) -> None:
    assert made.retries == 0
