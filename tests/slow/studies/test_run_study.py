"""A study from the command line: fanned out as tasks, reported, and reused."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import pytest

from flows.cli.errors import STOPPED
from mirror.tuning.device_lock import device_lock, device_name

STUDY = """
title = "How many characters to mask"
source = "Table 13"
finding = "Five are best."
axis = "k, characters"
levels = ["sentence"]
seeds = [1, 2]
[vary.tuning]
mask_length = [2, 5]
[[published]]
series = "BERT"
metric = "STS"
values = { 2 = 0.741, 5 = 0.743 }
"""
COMMAND = """
import sys
from flows.cli.main import mirror
from flows.cli.errors import run_guarded
for arguments in {calls!r}:
    print("CODE", run_guarded(mirror, arguments))
"""


PRINT_PROGRESS = """
from flows.cli.main import main
from tasks import progress

def show(_reporter, event):
    print(event.text, flush=True)

progress.Reporter.__call__ = show
main()
"""


@pytest.fixture(scope="module")
def study_run(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
) -> SimpleNamespace:
    """Run a study of two variants and two seeds in one process, then in two, then fail."""
    folder = tmp_path_factory.mktemp("study")
    recipe, home, study = write_recipe(folder), folder / "home", folder / "masks.toml"
    study.write_text(STUDY)
    options = ["--recipe", str(recipe), "--benchmarks", "passage-retrieval"]
    first = ["study", str(study), *options]
    calls = [first, [*first, "--jobs", "2"], [*first, "--strings", "4000"]]
    done = mirror_run(recipe, home, COMMAND.format(calls=calls), PREFECT_API_URL=prefect_api)
    return SimpleNamespace(home=home, done=done, output=home / "studies" / "masks")


def test_the_amount_of_work_is_printed_first(study_run: SimpleNamespace) -> None:
    assert study_run.done.stdout.count("CODE 0") == 2, study_run.done.stderr
    estimate = "masks: 2 encoders, 4 trials over 2 seed(s), 256 strings to tune on"
    assert estimate in study_run.done.stderr
    assert study_run.done.stderr.index(estimate) < len(study_run.done.stderr) / 2


def test_the_terminal_shows_our_values_and_the_papers(study_run: SimpleNamespace) -> None:
    content = json.loads((study_run.output / "results.json").read_text())
    assert [cell["row"] for cell in content["cells"]] == ["2", "5"]
    scores = content["cells"][0]["values"]
    assert len(scores) == 2
    assert all(0 < score < 1 for score in scores)
    assert "paper: BERT, STS" in study_run.done.stdout
    assert ".741" in study_run.done.stdout
    assert str(study_run.output / "figure.svg") in study_run.done.stdout


def test_the_figure_is_there_with_the_papers_curve(study_run: SimpleNamespace) -> None:
    words = {
        text.strip()
        for text in ElementTree.parse(study_run.output / "figure.svg").getroot().itertext()
    }
    assert {"How many characters to mask", "ours", "the paper", "BERT, STS"} <= words


def test_a_second_run_reuses_all_trials(study_run: SimpleNamespace) -> None:
    stages = study_run.home / "stages"
    assert len(list((stages / "tune").iterdir())) == 4
    assert len(list((stages / "evaluation").iterdir())) == 4
    head, again, *_ = study_run.done.stdout.split("CODE 0")
    assert [line for line in again.splitlines() if "±" in line] == [
        line for line in head.splitlines() if "±" in line
    ]


def test_too_little_text_shows_before_any_trial(study_run: SimpleNamespace) -> None:
    assert study_run.done.stdout.count("CODE 1") == 1
    assert "error: masks: the corpus in" in study_run.done.stderr
    assert "remove that variant from a copy of the study's file" in study_run.done.stderr


def test_trials_are_tasks_and_found_ones_are_cached(
    study_run: SimpleNamespace, ask_api: Callable[[str, Any], Any]
) -> None:
    runs = ask_api("task_runs/filter", {"task_runs": {"name": {"like_": "trial-masks"}}})
    states = sorted(run["state_name"] for run in runs)
    assert states == ["Cached"] * 4 + ["Completed"] * 4
    assert {run["name"] for run in runs} == {
        f"trial-masks, sentence, {k}-{seed}" for k in (2, 5) for seed in (1, 2)
    }


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_waits_for_the_device_ends_when_it_is_interrupted(
    number: signal.Signals,
    tmp_path: Path,
    write_recipe: Callable[..., Path],
    environment_of: Callable[..., dict[str, str]],
    prefect_api: str,
) -> None:
    recipe, study = write_recipe(tmp_path), tmp_path / "masks.toml"
    study.write_text(STUDY)
    options = ["--recipe", str(recipe), "--benchmarks", "passage-retrieval"]
    with device_lock(device_name()):
        process = subprocess.Popen(
            [sys.executable, "-c", PRINT_PROGRESS, "study", str(study), *options],
            env=environment_of(tmp_path / "home", PREFECT_API_URL=prefect_api),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert any("waiting for other runs" in line for line in process.stdout)
            process.send_signal(number)
            _, printed = process.communicate(timeout=240)
        finally:
            process.kill()
    ends = {signal.SIGINT: STOPPED, signal.SIGTERM: -signal.SIGTERM}
    assert process.returncode == ends[number], printed
    assert ("stopped; finished work is kept" in printed) == (number == signal.SIGINT)
