"""Errors of `mirror run`: one message, within seconds, before Prefect is used.

Each fault by itself is in tests/unit/tasks/test_preflight.py.
"""

from __future__ import annotations

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
RETRY = "| WARNING | urllib3.connectionpool - Retrying"
"""Shown here because the tests' process has set up Prefect's logging; `mirror run` has not yet."""

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
    lines = [line for line in stderr.splitlines() if line != HINT and RETRY not in line]
    assert [line for line in lines if line.startswith("error: ")] == lines[:1], stderr
    assert "Traceback" not in stderr
    assert [path for path in home.rglob("*") if path.is_file()] == []
    return lines


def write_other_pairs(data: Path) -> Path:
    """Write a file with other contents at the path of the benchmark stsb."""
    from mirror.evaluation.benchmark import read_definition

    [file] = read_definition("stsb").files
    path = data / file.path
    path.parent.mkdir(parents=True)
    path.write_text("sentence1\tsentence2\tscore\na red ladder\ta wet kettle\t1\n")
    return path


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
