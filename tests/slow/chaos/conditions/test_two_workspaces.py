"""One recipe run in two workspaces at once, with one tracking server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.release.run_record import find_record

pytestmark = pytest.mark.slow

MODEL = "mirror-en-tiny"


def test_an_encoder_that_two_workspaces_make_at_once_is_one_version(
    reference_run: SimpleNamespace,
    seeded: Callable[[Path], Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
    tracking_server: Any,
    registered: Callable[[], SimpleNamespace],
    tmp_path: Path,
) -> None:
    homes = [seeded(tmp_path / name) for name in ("one", "other")]
    servers = {"PREFECT_API_URL": prefect_api, "MLFLOW_TRACKING_URI": tracking_server.url}
    with ThreadPoolExecutor(2) as threads:
        runs = [threads.submit(mirror_run, reference_run.recipe, home, **servers) for home in homes]
    for run in runs:
        assert run.result().returncode == 0, run.result().stderr
    found = registered()
    [version] = found.versions
    [finished] = found.finished
    assert version.run_id == finished.info.run_id
    assert found.running == []
    assert found.aliases == {"challenger": "1"}
    assert found.models == [MODEL]
    for home in homes:
        record = find_record(home)
        assert record.model == f"models:/{MODEL}/1"
        assert all(line.reused for line in record.stages)
