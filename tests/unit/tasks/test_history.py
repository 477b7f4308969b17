"""What the registry tells of a model's versions."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tasks import registry
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.history import read_history

MODEL = "mirror-en-trades"


def test_a_version_is_told_with_scores_verdict_and_origin(
    make_candidate: Callable[..., RegistrationCandidate], workspace: Path, client: Any
) -> None:
    candidate = make_candidate(0)
    registry.register_encoder.fn(candidate, workspace)
    [line] = read_history(MODEL)
    assert (line.number, line.recipe, line.verdict) == ("1", "en-trades", "promote")
    assert line.corpus == candidate.results.corpus.digest
    assert line.scores == {"likeness": (0.25, 0.5)}
    assert line.reasons == "Promoted:\n- Better than its base."
    assert line.aliases == ("challenger", "champion")
    assert line.outcome == "promoted"
    [told] = line.told
    assert told.startswith("promoted by the gate, 20")
    made = client.get_model_version(MODEL, "1").creation_timestamp
    assert line.at.endswith("+00:00")
    assert int(datetime.fromisoformat(line.at).timestamp()) == made // 1_000


def test_versions_come_oldest_first_also_above_ten_and_without_runs(
    client: Any, workspace: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.create_registered_model(MODEL)
    for _ in range(11):
        client.create_model_version(MODEL, str(tmp_path), tags={"settled": "not promoted"})
    client.set_model_version_tag(MODEL, "11", "settled", "overtaken by version 3")
    lines = read_history(MODEL)
    assert [line.number for line in lines] == [str(number) for number in range(1, 12)]
    assert {line.outcome for line in lines[:10]} == {"refused"}
    assert lines[10].told == ("overtaken by version 3",)
    assert not lines[0].scores


def test_a_deleted_run_is_told_and_its_version_is_listed(
    client: Any, workspace: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(tmp_path), run_id="f" * 32)
    [line] = read_history(MODEL)
    assert (line.scores, line.outcome) == ({}, "its run has not ended")
    assert "the run of mirror-en-trades version 1 was deleted" in caplog.text
