"""A clock that is set back between one run and the next, and forward again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from mirror.hashing import MANIFEST
from mirror.release.run_record import find_record, record_paths

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
DAYS = 40
"""More than `mirror gc` keeps what nothing refers to."""


@pytest.fixture(scope="module")
def set_back() -> dict[str, str]:
    """Return the environment of a process whose clock is some weeks slow."""
    places = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not places:
        pytest.skip("no libfaketime: this test sets a process's clock back")
    faked = {"LD_PRELOAD": str(places[0]), "FAKETIME": f"-{DAYS}d"}
    return faked | {"FAKETIME_DONT_FAKE_MONOTONIC": "1"}


@pytest.fixture
def home(reference_run: SimpleNamespace, tmp_path: Path) -> Path:
    """The workspace of a first run, which was made when the clock was right."""
    return Path(shutil.copytree(reference_run.home, tmp_path / "home"))


@pytest.fixture
def mirror(
    home: Path,
    prefect_api: str,
    environment_of: Callable[..., dict[str, str]],
    python: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., str]:
    """Run the command in that workspace; return its output."""

    def run(*arguments: object, **variables: str) -> str:
        code = "from flows.cli.main import main; main()"
        environment = environment_of(home, PREFECT_API_URL=prefect_api, **variables)
        done = python(code, *arguments, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_runs_with_the_clock_set_back_reuse_and_are_the_newest(
    set_back: dict[str, str], recipe: Path, home: Path, mirror: Callable[..., str]
) -> None:
    before, began = find_record(home), time.monotonic()
    assert "9 of 9 stages reused" in mirror("run", recipe, **set_back)
    record = find_record(home)
    ago = datetime.now(UTC) - datetime.fromisoformat(record.started_at)
    assert timedelta(days=DAYS - 1) < ago < timedelta(days=DAYS + 1)
    assert 0 < record.seconds < time.monotonic() - began
    assert record != before
    assert record.model == before.model

    mirror("promote", MODEL, "--force", **set_back)
    mirror("run", recipe, "--if-changed", **set_back)
    assert find_record(home).unchanged
    mirror("run", recipe, "--if-changed")
    newest = find_record(home)
    assert newest.unchanged
    assert datetime.now(UTC) - datetime.fromisoformat(newest.started_at) < timedelta(days=1)
    assert len(record_paths(home)) == 4

    # What was used while the clock was back is not old when it is right again.
    assert mirror("gc", "--keep-days", "1").startswith("0 folder(s)")
    assert all((Path(line.folder) / MANIFEST).is_file() for line in record.stages)
    listed = mirror("history", MODEL)
    assert "champion" in listed
