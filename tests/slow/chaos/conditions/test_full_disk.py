"""A disk that is full, at every stage of a run; and when there is room again."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
FULL = "No space left on device"
STAGES = ("corpus", "sample", "evaluation", "tune", "package", "report")
PLACES = (*STAGES, "logging the encoder", "registering", "record")
"""Stages at which the disk is full, in the order of the chain."""
FILLING = """
import json, sys
from pathlib import Path

import tasks  # before Prefect, which reads its settings when it is imported
from flows.run_recipe import start_run
from mirror.paths import workspace_root
from mirror.run_context import load_run
from mirror.release import run_record
from mirror.errors import MirrorError
from tasks import preflight, progress, run_summary
from tasks.registry import run_logging

preflight.check_space.__defaults__ = (0,)  # the disk is small, and is to be full only later
ballast = Path(sys.argv[3]) / "ballast"
wanted = None

def fill(place):
    if place != wanted or ballast.exists():
        return
    with ballast.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                pass

def before(owner, name, place):
    function = getattr(owner, name)
    def filling(*arguments, **options):
        fill(place)
        return function(*arguments, **options)
    setattr(owner, name, filling)

report = progress.Reporter.__call__
progress.Reporter.__call__ = lambda self, sign: (fill(sign.stage), report(self, sign))[1]
before(run_logging, "_log_encoder", "logging the encoder")
before(run_logging, "add_version", "registering")
before(run_summary, "save_record", "record")
for wanted in (*sys.argv[4:], None):
    ballast.unlink(missing_ok=True)
    try:
        start_run(load_run(sys.argv[2], "", workspace_root()))
        said = [wanted, ballast.exists(), "", "done"]
    except MirrorError as error:
        said = [wanted, ballast.exists(), type(error).__name__, str(error)]
    sys.stderr.flush()
    print(json.dumps(said), flush=True)
"""


@pytest.fixture
def disk(mount: Callable[..., Path]) -> Path:
    return mount("-t", "tmpfs", "-o", "size=32m", "tmpfs")


def test_a_full_disk_is_reported_before_the_run(
    disk: Path, recipe: Path, mirror_run: Callable[..., Any]
) -> None:
    done = mirror_run(recipe, disk / "home")
    assert done.returncode == 1
    assert f"the disk of the workspace {disk / 'home'} has 0.0 GiB free and a run needs" in (
        done.stderr
    )
    assert "MIRROR_HOME" in done.stderr
    assert list((disk / "home").glob("stages/*")) == []


def test_a_run_that_fills_the_disk_says_so_and_goes_on_when_there_is_room(
    disk: Path,
    recipe: Path,
    environment_of: Callable[..., dict[str, str]],
    prefect_api: str,
    check_whole: Callable[[Path], Any],
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    home = disk / "home"
    environment = environment_of(home, PREFECT_API_URL=prefect_api)
    done = python(FILLING, "run", recipe, disk, *PLACES, env=environment)
    check_messages(done, PLACES, home)
    record = check_whole(home)
    assert record.model == f"models:/{MODEL}/1"
    assert all(line.reused for line in record.stages)


def test_a_disk_filled_by_prefects_database_is_reported(
    disk: Path,
    recipe: Path,
    seeded: Callable[[Path], Path],
    environment_of: Callable[..., dict[str, str]],
    check_whole: Callable[[Path], Any],
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    home = seeded(disk / "home")
    shutil.rmtree(home / "stages" / "sample")
    done = python(FILLING, "run", recipe, disk, "sample", env=environment_of(home))
    check_messages(done, ("sample",), home)
    check_whole(home)


def check_messages(
    done: subprocess.CompletedProcess[str], places: tuple[str, ...], home: Path
) -> None:
    """Checks that each run with a full disk said so, and that the last one, with room, ended."""
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [place for place, *_ in results] == [*places, None]
    for place, was_filled, kind, text in results[:-1]:
        assert was_filled, place
        assert kind == "StoreError", (place, text)
        assert FULL in text or "disk is full" in text, (place, text)
        assert "free" in text, (place, text)
        assert str(home) in text, (place, text)
    assert results[-1][3] == "done"
