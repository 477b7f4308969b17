"""A run that replaces a champion reports index compatibility with it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.release import gate
from mirror.release.index_compatibility import read_compatibility, summary
from mirror.release.run_record import find_record, find_stage

MODEL = "mirror-en-tiny"


def test_a_successor_has_an_index_compatibility_report(
    tmp_path: Path,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from mlflow.tracking import MlflowClient

    decide = gate.decide
    monkeypatch.setattr(gate, "decide", lambda *evidence: replace(decide(*evidence), promote=True))
    recipe, home = copy_recipe(tmp_path), seeded(tmp_path / "home")
    assert run_here(recipe, home).returncode == 0
    assert "compatibility" not in [line.stage for line in find_record(home).stages]

    larger = recipe.read_text().replace("size = 32", "size = 64")
    recipe.write_text(larger.replace("epochs = 2", "epochs = 1"))
    done = run_here(recipe, home)
    assert done.returncode == 0, done.stderr
    record = find_record(home)
    found = read_compatibility(find_stage(record, "compatibility"))
    assert (found.fitted, found.judged) == (32, 32)
    page = Path(record.report).read_text()
    assert "Compatibility of existing indexes" in page
    for line in summary(found):
        assert line.replace("'", "&#39;") in page
    client = MlflowClient(f"sqlite:///{home / 'mlflow.db'}")
    version = client.get_model_version_by_alias(MODEL, "champion")
    assert (str(version.version), version.tags["compatibility"]) == ("2", found.verdict)
    kept = {file.path for file in client.list_artifacts(version.run_id, "compatibility")}
    assert "compatibility/map.safetensors" in kept
    again = run_here(recipe, home)
    assert "11 of 11 stages reused" in again.stdout, again.stderr
