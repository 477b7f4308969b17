"""`mirror run` says what is wrong in one message, in seconds, before Prefect is asked anything."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NO_PREFECT = "http://127.0.0.1:1/api"
"""Whoever asks this server fails, and not with the message that is meant."""
FULL_DISK = """
import shutil
from types import SimpleNamespace
shutil.disk_usage = lambda _: SimpleNamespace(free=1 << 29)
from flows.cli.main import main; main()
"""
WITHOUT_PREFECT = """
import sys
sys.modules["prefect"] = None  # whoever imports it fails
from flows.cli.main import main; main()
"""
INTERRUPTED = """
import os, signal
from flows.cli.main import main

def interrupt(_reporter, sign):
    if sign.stage == "sample":
        os.kill(os.getpid(), signal.SIGINT)

# Where the tests themselves run in the background, SIGINT is ignored, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "CRITICAL"
from tasks import progress
progress.Reporter.__call__ = interrupt
main()
"""
HINT = "(add --debug for the traceback)"

Run = Callable[..., Any]
Write = Callable[..., Path]


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Servers of these runs: no Prefect, and one tracking store, whose tables take seconds."""
    place = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    return {"PREFECT_API_URL": NO_PREFECT, "MLFLOW_TRACKING_URI": f"sqlite:///{place}"}


@pytest.fixture
def refused(mirror_run: Run, tmp_path: Path, elsewhere: dict[str, str]) -> Callable[..., list[str]]:
    """Runs a recipe that cannot run; gives the lines of the one message."""

    def run(recipe: Path, *code: str, **variables: str) -> list[str]:
        home = tmp_path / "home"
        began = time.monotonic()
        done = mirror_run(recipe, home, *code, **elsewhere | variables)
        assert time.monotonic() - began < 60
        assert (done.returncode, done.stdout) == (1, "")
        lines = [line for line in done.stderr.splitlines() if line != HINT]
        assert [line for line in lines if line.startswith("error: ")] == lines[:1], done.stderr
        assert "Traceback" not in done.stderr
        assert [path for path in home.rglob("*") if path.is_file()] == []
        return lines

    return run


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


def test_a_full_disk(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = refused(write_recipe(tmp_path), FULL_DISK)
    assert "has 0.5 GiB free and a run needs 2.0" in line


def test_an_unknown_benchmark_is_told_before_prefect_is_imported(
    refused: Run, write_recipe: Write, tmp_path: Path
) -> None:
    recipe = write_recipe(tmp_path, benchmarks=["no-such-benchmark"])
    [line] = refused(recipe, WITHOUT_PREFECT)
    assert line.startswith("error: en-tiny: no benchmark at")


def test_all_of_it_at_once(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, text="/no/text.txt", base="no/such-base", benchmarks=["stsb"])
    place = other_pairs(tmp_path / "data")
    wrong = {"MIRROR_BENCHMARKS": str(tmp_path / "data")}
    wrong["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
    head, *lines = refused(recipe, FULL_DISK, **wrong)
    assert head == "error: recipe en-tiny cannot run, for 5 reasons:"
    parts = ("GiB free", "no text at", "no base model", f"stsb: {place} is not", "did not answer")
    assert len(lines) == len(parts)
    assert all(part in line for part, line in zip(parts, lines, strict=True))


def test_text_that_is_not_there(refused: Run, write_recipe: Write, tmp_path: Path) -> None:
    [line] = refused(write_recipe(tmp_path, text="/no/text.txt"))
    assert line.startswith("error: no text at /no/text.txt (corpus.paths)")


def test_an_evaluation_that_cannot_be_made_ends_a_run_before_tuning(
    mirror_run: Run, write_recipe: Write, prefect_api: str, tmp_path: Path, sentences: list[str]
) -> None:
    """What only a stage finds out is told as briefly, with Prefect running."""
    text, home = tmp_path / "one-sentence-each.txt", tmp_path / "home"
    text.write_text("".join(f"{line.capitalize()}.\n\n" for line in sentences[:40]))
    done = mirror_run(write_recipe(tmp_path, text=str(text)), home, PREFECT_API_URL=prefect_api)
    assert (done.returncode, done.stdout) == (1, "")
    assert "passages that nothing tuned on touches" in done.stderr
    assert "Traceback" not in done.stderr
    made = {path.parent.name for path in home.glob("stages/*/*")}
    assert made == {"corpus", "profile", "sample"}
    assert list(home.glob("work/*.out")) == []


def test_ctrl_c_in_a_stage(
    mirror_run: Run, write_recipe: Write, prefect_api: str, tmp_path: Path
) -> None:
    recipe, home = write_recipe(tmp_path), tmp_path / "home"
    done = mirror_run(recipe, home, INTERRUPTED, PREFECT_API_URL=prefect_api)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.splitlines()[-1].startswith("stopped; what is whole is kept")
    assert "Traceback" not in done.stderr
    assert {path.parent.name for path in home.glob("stages/*/*")} == {"corpus", "profile"}
    assert list(home.glob("work/*.out")) == []
