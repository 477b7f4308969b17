"""A run that is killed in one stage after the other, in one workspace, and then left to end."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record, find_stage

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
DYING = """
import os, signal, time
from flows.cli.main import main
from mirror.tuning import worker
from tasks import progress
from tasks.registry import registration, run_logging

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def sign_of_life(_reporter, sign):
    print("sign", sign.stage, sign.done, flush=True)
    if sign.stage == {stage!r} != "tune" and sign.done >= {done}:
        die()

progress.Reporter.__call__ = sign_of_life
if {function!r}:
    owner = run_logging if hasattr(run_logging, {function!r}) else registration
    setattr(owner, {function!r}, die)
if {stage!r} == "tune":
    worker.CHILD = ("-c", {child!r})
main()
"""
CHILD = """
import os, signal, time
from mirror.tuning import worker
from mirror.tuning import stage as tuning_stage

sign_of = tuning_stage._sign_of

def sign_and_die(step):
    if step.step == 3:
        time.sleep(1.1)  # so that a checkpoint is due after the fourth step
    if step.step == {done}:  # both at once, as when the power fails
        time.sleep(0.5)  # what was said before has been heard
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return sign_of(step)

tuning_stage._sign_of = sign_and_die
worker.main()
"""
DEATHS = {
    "corpus": {"stage": "corpus", "done": 1, "function": ""},
    "profile": {"stage": "profile", "done": 1, "function": ""},
    "sample": {"stage": "sample", "done": 32, "function": ""},
    "evaluation of the base": {"stage": "evaluation", "done": 0, "function": ""},
    "tune": {"stage": "tune", "done": 6, "function": ""},
    "evaluation of the tuned": {"stage": "evaluation", "done": 0, "function": ""},
    "smoke-test": {"stage": "smoke-test", "done": 0, "function": ""},
    "package": {"stage": "package", "done": 1, "function": ""},
    "report": {"stage": "report", "done": 1, "function": ""},
    "recording in MLflow": {"stage": "", "done": 0, "function": "_log_encoder"},
    "moving aliases": {"stage": "", "done": 0, "function": "_settle"},
}
"""What each run dies of, in the order of the chain."""


@dataclass(frozen=True)
class Death:
    """What a killed run left."""

    code: int
    signs: list[list[str]]
    """Stage and count of each sign of life."""
    published: set[str]
    """Stages that are there."""
    checkpoints: list[str]


@pytest.fixture(scope="module")
def deaths(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
) -> SimpleNamespace:
    """All killed runs by what they died in, and the recipe and workspace that they shared."""
    folder = tmp_path_factory.mktemp("killed")
    recipe, home = write_recipe(folder), folder / "home"
    left: dict[str, Death] = {}
    for name, death in DEATHS.items():
        done = mirror_run(
            recipe,
            home,
            DYING.format(**death, child=CHILD.format(**death)),
            PREFECT_API_URL=prefect_api,
        )
        signs = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("sign")]
        left[name] = Death(
            done.returncode,
            signs,
            {path.parent.name for path in home.glob("stages/*/*")},
            sorted(path.name for path in home.glob("work/*/checkpoint-*")),
        )
    return SimpleNamespace(home=home, recipe=recipe, left=left)


@pytest.fixture(scope="module")
def survivor(
    deaths: SimpleNamespace, mirror_run: Callable[..., Any], prefect_api: str
) -> SimpleNamespace:
    """The run that was let live, after all the others."""
    done = mirror_run(deaths.recipe, deaths.home, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=deaths.home, done=done, record=find_record(deaths.home))


def weights(encoder: str) -> str:
    return hashlib.sha256((Path(encoder) / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", DEATHS)
def test_every_run_was_killed_where_it_was_meant_to_be(deaths: SimpleNamespace, name: str) -> None:
    assert deaths.left[name].code == -signal.SIGKILL
    if stage := DEATHS[name]["stage"]:
        assert deaths.left[name].signs[-1][0] == stage


@pytest.mark.parametrize("name", [name for name, death in DEATHS.items() if death["stage"]])
def test_a_killed_stage_is_not_there_and_those_before_it_are(
    deaths: SimpleNamespace, name: str
) -> None:
    before = list(DEATHS)[: list(DEATHS).index(name)]
    assert deaths.left[name].published == {DEATHS[earlier]["stage"] for earlier in before}


def test_a_killed_tuning_goes_on_from_its_checkpoint(deaths: SimpleNamespace) -> None:
    [checkpoint] = deaths.left["tune"].checkpoints
    step = int(checkpoint.removeprefix("checkpoint-"))
    assert 0 < step < 6
    signs = deaths.left["evaluation of the tuned"].signs
    taken = [int(done) for stage, done in signs if stage == "tune"]
    assert taken == list(range(step + 1, 9))


def test_killed_runs_end_with_the_same_bytes(
    survivor: SimpleNamespace, reference_run: SimpleNamespace
) -> None:
    expected = find_record(reference_run.home)
    for stage in ("corpus", "sample", "tune"):
        made, meant = find_stage(survivor.record, stage), find_stage(expected, stage)
        assert made.folder != meant.folder
        assert made.digest == meant.digest
    assert weights(survivor.record.encoder) == weights(expected.encoder)


def test_the_last_run_makes_nothing_anew(survivor: SimpleNamespace) -> None:
    assert "9 of 9 stages reused" in survivor.done.stdout


def test_nothing_half_made_is_left(survivor: SimpleNamespace) -> None:
    assert list((survivor.home / "work").iterdir()) == []
    assert list(survivor.home.glob("runs/*/*.part")) == []


def test_one_version_is_registered_and_its_aliases_are_settled(survivor: SimpleNamespace) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{survivor.home / 'mlflow.db'}")
    [version] = client.search_model_versions(f"name = '{MODEL}'")
    assert version.tags["promotion_status"] == "not promoted"
    assert client.get_registered_model(MODEL).aliases == {"challenger": int(version.version)}
    assert survivor.record.model == f"models:/{MODEL}/{version.version}"


def test_what_was_being_recorded_when_its_run_was_killed_is_ended(
    deaths: SimpleNamespace, survivor: SimpleNamespace
) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{survivor.home / 'mlflow.db'}")
    [experiment] = client.search_experiments(filter_string=f"name = '{deaths.recipe.stem}'")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]
