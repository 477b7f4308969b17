"""prefect.yaml with a real server, a worker, and a run of a deployment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from mirror.paths import CHECKOUT
from mirror.release.run_record import find_record
from tests.fixtures.flows import COMMAND

pytestmark = pytest.mark.slow

NAME = "run-recipe/en-python-docs"
ENDS = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}


@contextmanager
def running(arguments: list[str], folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Run a prefect command during the block, then end it and its children; yield its log."""
    log = folder / f"{arguments[0]}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *arguments],
            cwd=folder,
            env=environment,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield log
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def await_answer(ask: Callable[[], Any], seconds: int, log: Path) -> Any:
    """The first answer that is something."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := ask():
                return found
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"nothing within {seconds} seconds: {log.read_text()[-2_000:]}")


@pytest.fixture(scope="module")
def place(
    tmp_path_factory: pytest.TempPathFactory,
    prefect_api: str,
    environment_of: Callable[..., dict[str, str]],
) -> tuple[Path, dict[str, str]]:
    """A folder for everything, and the environment of all processes."""
    folder = tmp_path_factory.mktemp("deployed")
    environment = environment_of(
        folder / "home", PREFECT_API_URL=prefect_api, PREFECT_HOME=str(folder / "prefect")
    )
    # Where the package is installed, as prefect.yaml asks, and not merely near.
    del environment["PYTHONPATH"]
    return folder, environment


def output(environment: dict[str, str], *arguments: str) -> str:
    """Run Python with arguments in the checkout and return what it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def deploy(environment: dict[str, str]) -> str:
    """Run `mirror deploy` and return the difference that it prints."""
    return output(environment, "-c", COMMAND, "deploy", "--yes")


@pytest.fixture(scope="module")
def prefect(
    place: tuple[Path, dict[str, str]], ask_api: Callable[..., Any]
) -> Iterator[Callable[..., str]]:
    """Run a prefect command in the checkout, with a server that has the deployments."""
    _, environment = place

    def command(*arguments: str) -> str:
        return output(environment, "-m", "prefect", *arguments)

    with suppress(HTTPError):  # another test may have made it
        ask_api("work_pools/", {"name": "mirror", "type": "process"})
    deploy(environment)
    yield command
    for made in ask_api("deployments/filter", {}):
        ask_api(f"deployments/{made['id']}", None, "DELETE")


def test_a_worker_runs_what_is_deployed(
    prefect: Callable[..., str],
    place: tuple[Path, dict[str, str]],
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    ask_api: Callable[..., Any],
) -> None:
    folder, environment = place
    recipe = copy_recipe(folder)
    seeded(folder / "home")
    prefect("deployment", "run", NAME, "-p", f"recipe={recipe}")

    def ended() -> Any:
        wanted = {"flow_runs": {"name": {"any_": [str(recipe)]}}}
        found = ask_api("flow_runs/filter", wanted)
        return [run["state"] for run in found if run["state_type"] in ENDS]

    with running(["worker", "start", "--pool", "mirror"], folder, environment) as log:
        [state] = await_answer(ended, 180, log)
    assert state["type"] == "COMPLETED", state["message"] + log.read_text()
    record = find_record(folder / "home")
    assert record.recipe == "en-tiny"
    assert record.model == "models:/mirror-en-tiny/1"


def test_a_deployment_made_twice_has_its_schedule_once(
    prefect: Callable[..., str],
    place: tuple[Path, dict[str, str]],
    ask_api: Callable[..., Any],
) -> None:
    assert deploy(place[1]) == ""
    prefect("--no-prompt", "deploy", "--all")
    made = ask_api("deployments/filter", {})
    [found] = [each for each in made if each["name"] == "en-python-docs"]
    assert [(each["slug"], each["active"]) for each in found["schedules"]] == [("weekly", True)]
    assert found["parameters"] == {"recipe": "en-python-docs", "if_changed": True}
    assert found["concurrency_limit"] == 1 or found["global_concurrency_limit"]["limit"] == 1


def test_a_parameter_that_the_flow_lacks_is_refused(
    prefect: Callable[..., str], ask_api: Callable[..., Any]
) -> None:
    with pytest.raises(AssertionError, match="seed"):
        prefect("deployment", "run", NAME, "-p", "seed=7")
    runs = ask_api("flow_runs/filter", {})
    assert [run["name"] for run in runs if "seed" in run["parameters"]] == []
