"""A run that replaces a champion reports index compatibility with it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mirror.release.index_compatibility import read_compatibility, summary
from mirror.release.run_record import find_record, find_stage

ALWAYS = """
from dataclasses import replace
from mirror.release import gate
decide = gate.decide
gate.decide = lambda *evidence: replace(decide(*evidence), promote=True)
from flows.cli.main import main
main()
"""
MODEL = "mirror-en-tiny"


def test_a_successor_has_an_index_compatibility_report(
    tmp_path: Path,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
) -> None:
    from mlflow.tracking import MlflowClient

    recipe, home = write_recipe(tmp_path), tmp_path / "home"
    text = recipe.read_text().replace("size = 32", "size = 64")
    for epochs in (1, 2):
        recipe.write_text(text.replace("epochs = 2", f"epochs = {epochs}"))
        done = mirror_run(recipe, home, ALWAYS, PREFECT_API_URL=prefect_api)
        assert done.returncode == 0, done.stderr
        stages = [line.stage for line in find_record(home).stages]
        assert ("compatibility" in stages) == (epochs == 2)
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
    again = mirror_run(recipe, home, ALWAYS, PREFECT_API_URL=prefect_api)
    assert "11 of 11 stages reused" in again.stdout, again.stderr
