"""Two first runs at once in one workspace: servers, stages and registry are made once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mirror.release.run_record import RunRecord, read_record


@pytest.fixture(scope="module")
def home(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
) -> Path:
    """The new workspace of both runs."""
    folder = tmp_path_factory.mktemp("at-once")
    recipe, home = write_recipe(folder), folder / "home"
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(mirror_run, recipe, home) for _ in range(2)]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    return home


@pytest.fixture(scope="module")
def records(home: Path) -> list[RunRecord]:
    return [read_record(path) for path in home.glob("runs/*/*.json")]


def test_both_runs_have_the_same_results(records: list[RunRecord]) -> None:
    assert len(records) == 2
    assert records[0].started_at != records[1].started_at
    for what in ("encoder", "report", "model", "scores"):
        assert getattr(records[0], what) == getattr(records[1], what)


def test_each_stage_is_made_by_one_of_them(records: list[RunRecord]) -> None:
    made = Counter(line.folder for record in records for line in record.stages if not line.reused)
    assert made == Counter(line.folder for line in records[0].stages)


def test_one_version_is_registered(home: Path) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    assert [str(found.version) for found in client.search_model_versions("")] == ["1"]
