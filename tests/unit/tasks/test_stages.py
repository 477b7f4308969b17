"""Stage tasks: index compatibility of an encoder with the champion it replaces."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from mirror.release.gate import Verdict
from mirror.run_context import RunContext
from mirror.run_data import RunData
from mirror.store import StageRecord, Store
from tasks import registry, stages
from tasks.registry.candidate import Champion, RegistrationCandidate
from tasks.stages import compare_with_champion

YES, NO = Verdict(True, ("Better.",)), Verdict(False, ("Worse.",))


@pytest.fixture
def sample(tmp_path: Path, sentences: list[str]) -> StageRecord:
    folder = tmp_path / "made-sample"
    folder.mkdir()
    pq.write_table(pa.table({"text": sentences[:80]}), folder / "strings.parquet")
    return StageRecord("sample", "k", str(folder), "s" * 64, {"strings": 80})


@pytest.fixture
def pair(encoders: list[Path]) -> tuple[Champion, EncoderRef]:
    champion = Champion(str(encoders[0]), "a" * 64, version="1")
    return champion, EncoderRef(str(encoders[1]), "b" * 64, label="tuned")


@pytest.fixture
def run(recipe: Recipe, workspace: Path) -> RunContext:
    return RunContext(recipe, Store(workspace))


def test_only_what_succeeds_a_champion_is_compared(
    pair: tuple[Champion, EncoderRef],
    sample: StageRecord,
    workspace: Path,
    run: RunContext,
    caplog: pytest.LogCaptureFixture,
) -> None:
    champion, new = pair
    assert compare_with_champion(run, NO, champion, new, RunData(sample, sample)) is None
    assert compare_with_champion(run, YES, None, new, RunData(sample, sample)) is None
    assert not caplog.text
    few = replace(sample, counts={"strings": 59})
    assert compare_with_champion(run, YES, champion, new, RunData(few, few)) is None
    assert "the sample has 59 strings" in caplog.text
    assert not [*(workspace / "stages").iterdir()]


def test_the_report_the_page_and_the_map_come_with_the_version(
    make_candidate: Callable[..., RegistrationCandidate],
    pair: tuple[Champion, EncoderRef],
    sample: StageRecord,
    workspace: Path,
    run: RunContext,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    champion, new = pair
    # As in a run, but without one: Prefect would start a server for a task alone.
    monkeypatch.setattr(stages, "compare_indexes", stages.compare_indexes.fn)
    made = compare_with_champion(run, YES, champion, new, RunData(sample, sample))
    candidate = make_candidate(1)
    candidate = replace(candidate, results=replace(candidate.results, compatibility=made))
    registration = registry.register.fn(candidate, workspace)
    kept = [file.path for file in client.list_artifacts(registration.run_id, "compatibility")]
    assert sorted(kept) == [
        f"compatibility/{name}"
        for name in ("compatibility.html", "compatibility.json", "map.safetensors")
    ]
    tags = client.get_model_version("mirror-en-trades", "1").tags
    assert tags["compatibility"] == made.counts["verdict"]
