"""Faults around a run: disks, clocks, servers and other processes, all of them real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.hashing import MANIFEST, file_digests
from mirror.release.run_record import RunRecord, find_record, find_stage
from tests.fixtures.tracking_server import TrackingServer

MODEL = "mirror-en-tiny"


@pytest.fixture
def recipe(reference_run: SimpleNamespace, tmp_path: Path) -> Path:
    """The first run's recipe elsewhere: Prefect's server names runs by their recipe's path."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    return Path(shutil.copy2(reference_run.recipe, folder))


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system on an empty folder; skips where that is not allowed."""
    mounted: list[Path] = []

    def attach(*options: str) -> Path:
        folder = tmp_path / f"mounted-{len(mounted)}"
        folder.mkdir()
        done = subprocess.run(
            ["mount", *options, str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    if not shutil.which("mount") or os.geteuid():
        pytest.skip("only root can mount file systems")
    yield attach
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run code in a new process."""

    def run(code: str, *arguments: object, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=500,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def tracking_server(
    tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path
) -> Iterator[TrackingServer]:
    """A tracking server that runs."""
    server = TrackingServer(tmp_path_factory.mktemp("tracking"), empty_tracking)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def registered(tracking_server: TrackingServer) -> Iterator[Callable[[], SimpleNamespace]]:
    """Yield the versions, aliases and finished runs there are; afterwards there are none."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_server.url)

    def look() -> SimpleNamespace:
        experiments = [found.experiment_id for found in client.search_experiments()]
        runs = client.search_runs(experiments)
        model = client.get_registered_model(MODEL)
        versions = client.search_model_versions(f"name = '{MODEL}'")
        return SimpleNamespace(
            versions=versions,
            aliases={key: str(of) for key, of in model.aliases.items()},
            finished=[run for run in runs if run.info.status == "FINISHED"],
            running=[run for run in runs if run.info.status == "RUNNING"],
            models=[found.name for found in client.search_registered_models()],
        )

    yield look
    if client.search_registered_models():
        client.delete_registered_model(MODEL)
    for run in client.search_runs([each.experiment_id for each in client.search_experiments()]):
        client.delete_run(run.info.run_id)


@pytest.fixture
def check_whole(reference_run: SimpleNamespace) -> Callable[[Path], RunRecord]:
    """Assert that a workspace's newest run has the first run's bytes and left no files."""

    def check(home: Path) -> RunRecord:
        found, meant = find_record(home), find_record(reference_run.home)
        for stage in ("corpus", "sample", "tune"):
            assert find_stage(found, stage).digest == find_stage(meant, stage).digest
        for manifest in home.glob(f"stages/*/*/{MANIFEST}"):
            assert_whole(manifest.parent)
        assert list((home / "work").iterdir()) == []
        assert list(home.glob("locks/*.held")) == []
        assert list(home.glob("runs/*/*.part")) == []
        return found

    return check


def assert_whole(stage: Path) -> None:
    import json

    manifest: dict[str, Any] = json.loads((stage / MANIFEST).read_text(encoding="utf-8"))
    assert file_digests(stage) == manifest["files"], stage
