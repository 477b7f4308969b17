"""`mirror verify` on a run of a tiny recipe."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.release.run_record import find_record, save_record
from tasks.environment import set_defaults

MODEL = "models:/mirror-en-tiny/1"


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
) -> SimpleNamespace:
    """A run of its own text, which tests may change."""
    folder = tmp_path_factory.mktemp("verified")
    recipe, home = copy_recipe(folder), seeded(folder / "home")
    done = run_here(recipe, home)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(recipe=recipe, home=home)


@pytest.fixture
def recorded(finished: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The run, whose workspace is ours."""
    set_defaults()  # before the variables below are set, which pytest removes again
    monkeypatch.setenv("MIRROR_HOME", str(finished.home))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{finished.home / 'mlflow.db'}")
    return finished


def verify(*arguments: str | Path) -> int:
    return run_guarded(mirror, ["verify", *map(str, arguments)])


def test_a_run_made_again_gives_the_same_bytes(
    recorded: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("en-tiny", "--into", tmp_path / "again") == 0
    shown = capsys.readouterr().out
    assert shown.count("same bytes") == 6
    assert "all 6 stages have the recorded bytes" in shown
    [tuned] = (tmp_path / "again" / "stages" / "tune").glob("*/encoder/model.safetensors")
    packaged = Path(find_record(recorded.home).encoder) / "model.safetensors"
    assert tuned.read_bytes() == packaged.read_bytes()


def test_a_changed_source_is_reported(
    recorded: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = recorded.recipe.parent / "text.jsonl"
    before = text.read_text()
    text.write_text(before.replace("baker", "miner"))
    try:
        assert verify(MODEL) == 1
    finally:
        text.write_text(before)
    shown = capsys.readouterr().out
    assert "first difference at corpus: source changed: 000000 text.jsonl" in shown
    assert "follows from" in shown


def test_the_runs_own_workspace_is_refused(
    recorded: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify("en-tiny", "--into", recorded.home) == 1
    assert "whose stages would be reused" in capsys.readouterr().err


def test_an_unchanged_run_is_refused(
    recorded: SimpleNamespace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    record = replace(find_record(recorded.home), unchanged=True)
    assert verify(save_record(record, tmp_path)) == 1
    assert f"name the champion instead, {MODEL}" in capsys.readouterr().err


@pytest.mark.parametrize("run", ["en-nothing", "models:/mirror-nothing/1", "nothing.json"])
def test_a_missing_run_is_an_error(
    recorded: SimpleNamespace, run: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify(run) == 1
    assert "nothing" in capsys.readouterr().err
