"""A scheduled run on the champion's text stops, says so, and goes on once there is enough new."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record

MODEL = "mirror-en-tiny"
LOADED = """
import atexit, subprocess, sys
started = []
start = subprocess.Popen.__init__
def noted(self, args, *others, **options):
    started.append(str(args))
    start(self, args, *others, **options)
subprocess.Popen.__init__ = noted
heavy = {"mlflow", "torch", "transformers"}
atexit.register(lambda: print("LOADED", sorted(heavy & sys.modules.keys()), started))
from flows.cli.main import main
main()
"""


def test_a_second_run_without_a_server_starts_none_and_loads_no_heavy_library(
    tmp_path: Path,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
    mirror_run: Callable[..., Any],
) -> None:
    recipe, home = copy_recipe(tmp_path), seeded(tmp_path / "home")
    first = run_here(recipe, home)
    assert first.returncode == 0, first.stderr
    again = mirror_run(recipe, home, LOADED)
    assert again.returncode == 0, again.stderr
    assert "9 of 9 stages reused" in again.stdout
    assert "(registered before; reused)" in again.stdout
    loaded = next(line for line in again.stdout.splitlines() if line.startswith("LOADED"))
    assert loaded.startswith("LOADED []")
    assert "tasks.local_api" not in loaded


@pytest.fixture(scope="module")
def crowned(
    tmp_path_factory: pytest.TempPathFactory,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
) -> SimpleNamespace:
    """A first run's home, whose version was then made champion by hand."""
    from mlflow.tracking import MlflowClient

    folder = tmp_path_factory.mktemp("unchanged")
    recipe, home = copy_recipe(folder), seeded(folder / "home")
    done = run_here(recipe, home, "--if-changed")
    assert done.returncode == 0, done.stderr
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    client.set_registered_model_alias(MODEL, "champion", "1")
    return SimpleNamespace(recipe=recipe, home=home, client=client, text=folder / "text.jsonl")


def test_without_a_champion_the_run_is_complete(crowned) -> None:
    assert not find_record(crowned.home).unchanged
    assert crowned.client.get_model_version(MODEL, "1").tags["corpus_digest"]


def test_a_run_stops_on_unchanged_text_and_continues_on_new_text(
    crowned, run_here, ask_api
) -> None:
    done = run_here(crowned.recipe, crowned.home, "--if-changed")
    assert done.returncode == 0, done.stderr
    assert "Unchanged – the champion stays" in done.stdout
    assert "2 of 2 stages reused" in done.stdout
    record = find_record(crowned.home)
    assert record.unchanged
    assert record.model == f"models:/{MODEL}/1"
    assert "0.0% of 400 strings are new" in record.reasons[0]
    body = {"sort": "START_TIME_DESC", "limit": 1}
    [newest] = ask_api("flow_runs/filter", body)
    assert newest["state"]["name"] == "Unchanged"
    assert newest["state"]["type"] == "COMPLETED"

    with crowned.text.open("a") as text:
        for number in range(200):
            line = {"text": f"{number} bakers count old wet carpets in the harbour."}
            text.write(json.dumps(line) + "\n")
    done = run_here(crowned.recipe, crowned.home, "--if-changed")
    assert done.returncode == 0, done.stderr
    record = find_record(crowned.home)
    assert not record.unchanged
    assert record.model == f"models:/{MODEL}/2"
    assert "Corpus drift" in Path(record.report).read_text()
    run = crowned.client.get_model_version(MODEL, "2").run_id
    kept = Path(crowned.client.download_artifacts(run, "corpus/drift.json"))
    assert json.loads(kept.read_text())["new"] == pytest.approx(200 / 600)
