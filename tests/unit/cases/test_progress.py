"""Progress of pretraining is never above its total (case c17 of issue 14)."""

from __future__ import annotations

import pytest

from mirror.pretraining.stage import _progress_event
from mirror.pretraining.trainer import PretrainingStep

pytestmark = pytest.mark.case("c17")


@pytest.mark.parametrize(("tokens", "done"), [(7_168, 7_168), (8_000, 8_000), (9_216, 8_000)])
def test_the_last_step_of_pretraining_ends_at_all_tokens(tokens: int, done: int) -> None:
    event = _progress_event(PretrainingStep(9, tokens, 8_000, 5.0, 1.0, 1.0, 1e-4, 900.0))
    assert (event.done, event.total) == (done, 8_000)
