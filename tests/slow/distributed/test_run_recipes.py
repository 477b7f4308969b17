"""Many recipes side by side, on each runner for real; one of them cannot run."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record
from tests.fixtures.flows import run_in_process

pytestmark = pytest.mark.slow

COMMAND = "from flows.cli.main import main; main()"


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
) -> SimpleNamespace:
    """Two recipes that can run and one between them whose text is not there.

    The first one's stages are there, and those of the other are made.
    """
    folder = tmp_path_factory.mktemp("many")
    recipes = []
    for name, seed in (("en-one", ""), ("en-gone", "seed = 2"), ("en-two", "seed = 3")):
        text = copy_recipe(folder / name).read_text().replace("mirror-en-tiny", f"mirror-{name}")
        text = text.replace("size = 32", f"size = 32\n{seed}")
        if name == "en-gone":
            text = text.replace("text.jsonl", "nowhere.jsonl")
        recipes.append(folder / f"{name}.toml")
        recipes[-1].write_text(text)
    return SimpleNamespace(folder=folder, recipes=recipes, home=seeded(folder / "home"))


@pytest.mark.parametrize("runner", ["thread", "process", "dask", "ray"])
def test_one_that_fails_leaves_the_others_alone_and_is_named(
    runner: str,
    place: SimpleNamespace,
    environment_of: Callable[..., dict[str, str]],
    prefect_api: str,
    ask_api: Callable[[str, Any], Any],
) -> None:
    if runner in ("dask", "ray"):
        pytest.importorskip(f"prefect_{runner}")
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, "run", *map(str, place.recipes)],
        cwd=place.folder,
        env=environment_of(place.home, PREFECT_API_URL=prefect_api, MIRROR_RUNNER=runner),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stderr
    assert "1 of 3 runs failed: en-gone" in done.stderr, done.stdout
    assert "nowhere.jsonl" in done.stdout.replace("\n", "")
    for name in ("en-one", "en-two"):
        assert find_record(place.home, name).model == f"models:/mirror-{name}/1"
    runs = ask_api("flow_runs/filter", {"sort": "START_TIME_DESC", "limit": 4})
    states = sorted(run["state"]["type"] for run in runs)
    assert states == ["COMPLETED", "COMPLETED", "FAILED", "FAILED"]
    [parent] = [run for run in runs if run["parent_task_run_id"] is None]
    assert parent["state"]["message"] == f"1 of 3 runs failed: {place.recipes[1]}"


def test_a_wrong_choice_costs_no_run(tmp_path: Path) -> None:
    choice = ["run", "--language", "xx"]
    done = run_in_process(choice, None, MIRROR_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert "no recipe has the language xx" in done.stderr
