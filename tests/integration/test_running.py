"""`mirror run` says what is wrong in one message, in seconds, before Prefect is asked anything."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fixtures.flows import run_in_process

NO_PREFECT = "http://127.0.0.1:1/api"
"""A request to this server fails with another message than the expected one."""
WITHOUT_PREFECT = """
import sys
sys.modules["prefect"] = None  # importing it fails
from flows.cli.main import main; main()
"""
HINT = "(add --debug for the traceback)"

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of one tracking store for all these runs, whose tables take seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def refused(tmp_path: Path, tracking: str) -> Callable[..., list[str]]:
    """Runs a recipe that cannot run, without Prefect; returns the lines of the one message."""

    def run(recipe: Path, **variables: str) -> list[str]:
        home = tmp_path / "home"
        own = {"MIRROR_HOME": str(home), "MLFLOW_TRACKING_URI": tracking}
        began = time.monotonic()
        done = run_in_process(["run", str(recipe)], NO_PREFECT, **own | variables)
        assert time.monotonic() - began < 60
        assert (done.returncode, done.stdout) == (1, "")
        return lines_of(done.stderr, home)

    return run


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk with half a GiB free."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 29))


def lines_of(stderr: str, home: Path) -> list[str]:
    """The lines of the only message; nothing else was printed or written."""
    lines = [line for line in stderr.splitlines() if line != HINT]
    assert [line for line in lines if line.startswith("error: ")] == lines[:1], stderr
    assert "Traceback" not in stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return lines


def test_a_missing_base(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = refused(write_recipe(tmp_path, base="no/such-base"))
    assert "no base model at" in line and "correct base.path in the recipe" in line


def test_cut_weights(refused: Run, write_recipe: Write, tmp_path: Path, tiny_base: Path) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])
    [line] = refused(write_recipe(tmp_path, base=str(base)))
    assert str(weights) in line and "get it again" in line


def test_a_base_without_mask_token(
    refused: Run, write_recipe: Write, tmp_path: Path, tiny_base: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (base / name).read_text().replace("[MASK]", "[OTHER]")
        (base / name).write_text(text)
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["mask_token"]
    path.write_text(json.dumps(settings))
    [line] = refused(write_recipe(tmp_path, base=str(base)))
    assert "mask token" in line and "tuning.mask_length" in line


def other_pairs(data: Path) -> Path:
    """A file in the place of the benchmark stsb's that is not the one it declares."""
    from mirror.evaluation.benchmark import read_definition

    [file] = read_definition("stsb").files
    place = data / file.path
    place.parent.mkdir(parents=True)
    place.write_text("sentence1\tsentence2\tscore\na red ladder\ta wet kettle\t1\n")
    return place


def test_a_benchmark_that_is_not_as_declared(
    refused: Run, write_recipe: Write, tmp_path: Path
) -> None:
    place = other_pairs(tmp_path / "data")
    recipe = write_recipe(tmp_path, benchmarks=["passage-retrieval", "stsb"])
    [line] = refused(recipe, MIRROR_BENCHMARKS=str(tmp_path / "data"))
    assert f"stsb: {place} is not the file that was declared" in line and "--fetch" in line


def test_a_tracking_server_that_is_down(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    [line] = refused(recipe, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert "tracking store http://127.0.0.1:1 did not answer" in line
    assert "unset it to keep runs in the workspace" in line


def test_a_workspace_that_cannot_be_written(
    refused: Run, write_recipe: Write, tmp_path: Path
) -> None:
    place = tmp_path / "a-file"
    place.write_text("not a folder")
    [line] = refused(write_recipe(tmp_path), MIRROR_HOME=str(place))
    assert f"the workspace {place} cannot be written" in line and "set MIRROR_HOME" in line
    assert place.read_text() == "not a folder"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = refused(write_recipe(tmp_path))
    assert "has 0.5 GiB free and a run needs 2.0" in line


def test_an_unknown_benchmark_is_reported_before_prefect_is_imported(
    mirror_run: Run, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, benchmarks=["no-such-benchmark"])
    done = mirror_run(recipe, tmp_path / "home", WITHOUT_PREFECT)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = lines_of(done.stderr, tmp_path / "home")
    assert line.startswith("error: en-tiny: no benchmark at")


@pytest.mark.usefixtures("full_disk")
def test_all_of_it_at_once(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, text="/no/text.txt", base="no/such-base", benchmarks=["stsb"])
    place = other_pairs(tmp_path / "data")
    wrong = {"MIRROR_BENCHMARKS": str(tmp_path / "data")}
    wrong["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
    head, *lines = refused(recipe, **wrong)
    assert head == "error: recipe en-tiny cannot run, for 5 reasons:"
    parts = ("GiB free", "no text at", "no base model", f"stsb: {place} is not", "did not answer")
    assert len(lines) == len(parts)
    assert all(part in line for part, line in zip(parts, lines, strict=True))


def test_text_that_is_not_there(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = refused(write_recipe(tmp_path, text="/no/text.txt"))
    assert line.startswith("error: no text at /no/text.txt (corpus.paths)")


def test_an_evaluation_that_cannot_be_made_ends_a_run_before_tuning(
    run_here: Run, write_recipe: Write, tmp_path: Path, sentences: list[str]
) -> None:
    """An error that only a stage can find is reported as briefly, with Prefect running."""
    text, home = tmp_path / "one-sentence-each.txt", tmp_path / "home"
    text.write_text("".join(f"{line.capitalize()}.\n\n" for line in sentences[:40]))
    done = run_here(write_recipe(tmp_path, text=str(text)), home)
    assert (done.returncode, done.stdout) == (1, "")
    assert "label-free retrieval needs" in done.stderr
    assert "Traceback" not in done.stderr
    made = {path.parent.name for path in home.glob("stages/*/*")}
    assert made == {"corpus", "profile", "sample"}
    assert list(home.glob("work/*.out")) == []
