"""A workspace that cannot be written: refused at once, and read where that is enough."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.fixtures.flows import run_in_process

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"
WRITES = (("run", "{recipe}"), ("gc",), ("promote", MODEL, "--force"), ("up",))
READS = (("show",), ("history", MODEL), ("gc", "--dry-run"))


@pytest.fixture
def frozen(reference_run: SimpleNamespace, mount: Callable[..., Path]) -> Path:
    """The workspace of a first run, on a disk that is read only."""
    home = mount("--bind", str(reference_run.home))
    subprocess.run(["mount", "-o", "remount,bind,ro", str(home)], check=True)
    return home


@pytest.fixture
def mirror(frozen: Path, recipe: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the command in that workspace."""

    def run(arguments: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        filled = [argument.format(recipe=recipe) for argument in arguments]
        tracking = f"sqlite:///{frozen / 'mlflow.db'}"
        return run_in_process(filled, None, MIRROR_HOME=str(frozen), MLFLOW_TRACKING_URI=tracking)

    return run


def test_what_would_write_is_refused_at_once_and_what_reads_works(
    frozen: Path, mirror: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    for arguments in WRITES:
        done = mirror(arguments)
        assert done.returncode == 1, arguments
        first = done.stderr.splitlines()[0]
        assert first.startswith(("error: the workspace ", f"error: {frozen}/")), arguments
        assert "cannot be written (Read-only file system): " in first, arguments
        assert "MIRROR_HOME" in first, arguments
        assert str(frozen) in first
        assert "Traceback" not in done.stderr
    outputs = {}
    for arguments in READS:
        done = mirror(arguments)
        assert done.returncode == 0, (arguments, done.stderr)
        outputs[arguments[0]] = done.stdout
    assert f"models:/{MODEL}/1" in outputs["show"]
    assert "refused" in outputs["history"]
    assert "would be removed" in outputs["gc"]
    examined = mirror(("doctor",))
    assert examined.returncode == 1
    assert f"{frozen} cannot be written: Read-only file system" in examined.stdout
    assert "correct its permissions, or set MIRROR_HOME to another folder" in examined.stdout
