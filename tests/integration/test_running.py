"""Errors of `mirror run`: one message, within seconds, before Prefect is used."""

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
"""No server: a request to it would fail with an unexpected message."""
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
    """Return the URI of a tracking store for all tests: creating its tables takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('tracking') / 'mlflow.db'}"


@pytest.fixture
def run_failing(tmp_path: Path, tracking: str) -> Callable[..., list[str]]:
    """Return a function that runs a faulty recipe without Prefect and returns its message."""

    def run(recipe: Path, **variables: str) -> list[str]:
        home = tmp_path / "home"
        defaults = {"MIRROR_HOME": str(home), "MLFLOW_TRACKING_URI": tracking}
        started = time.monotonic()
        process = run_in_process(["run", str(recipe)], NO_PREFECT, **defaults | variables)
        assert time.monotonic() - started < 60
        assert (process.returncode, process.stdout) == (1, "")
        return lines_of(process.stderr, home)

    return run


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Report half a GiB of free disk space."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1 << 29))


def lines_of(stderr: str, home: Path) -> list[str]:
    """Return the lines of the only message; check that nothing else was printed or written."""
    lines = [line for line in stderr.splitlines() if line != HINT]
    assert [line for line in lines if line.startswith("error: ")] == lines[:1], stderr
    assert "Traceback" not in stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return lines


def test_a_missing_base(run_failing: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = run_failing(write_recipe(tmp_path, base="no/such-base"))
    assert "no base model at" in line and "correct base.path in the recipe" in line


def test_truncated_weights(
    run_failing: Run, write_recipe: Write, tmp_path: Path, tiny_base: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])
    [line] = run_failing(write_recipe(tmp_path, base=str(base)))
    assert str(weights) in line and "get it again" in line


def test_a_base_without_mask_token(
    run_failing: Run, write_recipe: Write, tmp_path: Path, tiny_base: Path
) -> None:
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (base / name).read_text().replace("[MASK]", "[OTHER]")
        (base / name).write_text(text)
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    del settings["mask_token"]
    path.write_text(json.dumps(settings))
    [line] = run_failing(write_recipe(tmp_path, base=str(base)))
    assert "mask token" in line and "tuning.mask_length" in line


def write_other_pairs(data: Path) -> Path:
    """Write a file with other contents at the path of the benchmark stsb."""
    from mirror.evaluation.benchmark import read_definition

    [file] = read_definition("stsb").files
    path = data / file.path
    path.parent.mkdir(parents=True)
    path.write_text("sentence1\tsentence2\tscore\na red ladder\ta wet kettle\t1\n")
    return path


def test_a_benchmark_file_with_another_digest(
    run_failing: Run, write_recipe: Write, tmp_path: Path
) -> None:
    path = write_other_pairs(tmp_path / "data")
    recipe = write_recipe(tmp_path, benchmarks=["passage-retrieval", "stsb"])
    [line] = run_failing(recipe, MIRROR_BENCHMARKS=str(tmp_path / "data"))
    assert f"stsb: {path} is not the file that was declared" in line and "--fetch" in line


def test_a_tracking_server_that_is_down(
    run_failing: Run, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path)
    [line] = run_failing(recipe, MLFLOW_TRACKING_URI="http://127.0.0.1:1")
    assert "tracking store http://127.0.0.1:1 did not answer" in line
    assert "unset it to keep runs in the workspace" in line


def test_a_workspace_that_cannot_be_written(
    run_failing: Run, write_recipe: Write, tmp_path: Path
) -> None:
    path = tmp_path / "a-file"
    path.write_text("not a folder")
    [line] = run_failing(write_recipe(tmp_path), MIRROR_HOME=str(path))
    assert f"the workspace {path} cannot be written" in line and "set MIRROR_HOME" in line
    assert path.read_text() == "not a folder"


@pytest.mark.usefixtures("full_disk")
def test_a_full_disk(run_failing: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = run_failing(write_recipe(tmp_path))
    assert "has 0.5 GiB free and a run needs 2.0" in line


def test_an_unknown_benchmark_is_reported_before_prefect_is_imported(
    mirror_run: Run, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, benchmarks=["no-such-benchmark"])
    process = mirror_run(recipe, tmp_path / "home", WITHOUT_PREFECT)
    assert (process.returncode, process.stdout) == (1, "")
    [line] = lines_of(process.stderr, tmp_path / "home")
    assert line.startswith("error: en-tiny: no benchmark at")


@pytest.mark.usefixtures("full_disk")
def test_all_errors_are_reported_together(
    run_failing: Run, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, text="/no/text.txt", base="no/such-base", benchmarks=["stsb"])
    path = write_other_pairs(tmp_path / "data")
    variables = {"MIRROR_BENCHMARKS": str(tmp_path / "data")}
    variables["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
    head, *lines = run_failing(recipe, **variables)
    assert head == "error: recipe en-tiny cannot run, for 5 reasons:"
    parts = ("GiB free", "no text at", "no base model", f"stsb: {path} is not", "did not answer")
    assert len(lines) == len(parts)
    assert all(part in line for part, line in zip(parts, lines, strict=True))


def test_missing_text(run_failing: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = run_failing(write_recipe(tmp_path, text="/no/text.txt"))
    assert line.startswith("error: no text at /no/text.txt (corpus.paths)")


def test_a_failing_evaluation_ends_a_run_before_tuning(
    run_here: Run, write_recipe: Write, tmp_path: Path, sentences: list[str]
) -> None:
    """An error in a stage is reported in one message too."""
    text, home = tmp_path / "one-sentence-each.txt", tmp_path / "home"
    text.write_text("".join(f"{line.capitalize()}.\n\n" for line in sentences[:40]))
    process = run_here(write_recipe(tmp_path, text=str(text)), home)
    assert (process.returncode, process.stdout) == (1, "")
    assert "retrieval of halves needs" in process.stderr
    assert "Traceback" not in process.stderr
    stages = {path.parent.name for path in home.glob("stages/*/*")}
    assert stages == {"corpus"}
    assert list(home.glob("work/*.out")) == []
