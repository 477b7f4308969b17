"""One workspace used by two machines or containers at once, and the lock of a third that ended.

The machines are processes with different boot IDs, and the second one's kernel locks do not reach
the first, as on some shared file systems.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.release.run_record import read_record, record_paths

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
MADE = ("corpus", "profile", "sample", "package", "report")
"""Stages to make again; the others, which take long, are reused."""
ANOTHER = """
import fcntl, socket
from pathlib import Path
from mirror import locks

locks.STALE_SECONDS = 4.0
locks.BEAT_SECONDS = 0.2
if {name!r}:
    locks.SHARED_KERNEL = Path({kernel!r})
    socket.gethostname = lambda: {name!r}
    fcntl.flock = lambda *_: None
from flows.cli.main import main
main()
"""
APART = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture
def machine(tmp_path: Path) -> Callable[[str], str]:
    """Return the code that a process of the named machine runs."""

    def make(name: str) -> str:
        kernel = tmp_path / f"kernel of {name}"
        kernel.write_text(name)
        return ANOTHER.format(name=name, kernel=str(kernel))

    return make


def test_two_machines_make_each_stage_once_and_take_over_the_lock_of_a_third(
    recipe: Path,
    seeded: Callable[[Path], Path],
    machine: Callable[[str], str],
    environment_of: Callable[..., dict[str, str]],
    prefect_api: str,
    tmp_path: Path,
    check_whole: Callable[[Path], Any],
) -> None:
    home = seeded(tmp_path / "home")
    corpus = next(path.name for path in (home / "stages" / "corpus").iterdir())
    for stage in MADE:
        shutil.rmtree(home / "stages" / stage)
    (home / "locks").mkdir()
    (home / "locks" / f"{corpus}.lock.held").write_text(
        "filelock/2\npid=7\nhost=dead-host\nmode=lease\ntoken=a-token\nduration=4.0\n"
    )
    half = home / "work" / f"{corpus}-0badcafe.out"
    half.mkdir(parents=True)
    (half / "part").write_text("half-written by the third machine")
    runs = [
        subprocess.Popen(
            [*before, sys.executable, "-c", code, "run", str(recipe)],
            env=environment_of(home, PREFECT_API_URL=prefect_api),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for code, before in ((machine(""), apart()), (machine("far-host"), ()))
    ]
    errors = [run.communicate(timeout=500)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    assert "waiting for process 7 on dead-host" in "".join(errors)
    check_whole(home)
    records = [read_record(path) for path in record_paths(home)]
    assert len(records) == 2
    made = Counter(line.folder for record in records for line in record.stages if not line.reused)
    assert made == Counter(line.folder for line in records[0].stages if line.stage in MADE)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    [version] = client.search_model_versions(f"name = '{MODEL}'")
    assert {record.model for record in records} == {f"models:/{MODEL}/{version.version}"}


def apart() -> tuple[str, ...]:
    """Return the command that gives a process its own PID namespace, where allowed."""
    if platform.system() == "Linux" and shutil.which("unshare"):
        done = subprocess.run([*APART, "true"], capture_output=True, check=False)
        return APART if done.returncode == 0 else ()
    return ()
