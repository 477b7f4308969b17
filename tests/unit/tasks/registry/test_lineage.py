"""`mirror gc` keeps what versions with an alias need."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from tasks import registry
from tasks.registry import fetch_model
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.lineage import registry_references
from tasks.registry.versions import read_aliases

MODEL = "mirror-en-trades"


@pytest.fixture
def three_versions(
    tracking: str,
    workspace: Path,
    make_candidate: Callable[..., RegistrationCandidate],
    client: Any,
) -> Path:
    """A workspace with copies of three versions: an old one, the champion and the challenger."""
    for number in range(3):
        champion = number == 1
        registry.register.fn(make_candidate(number, promote=champion), workspace)
    assert read_aliases(client, MODEL) == {"champion": "2", "challenger": "3"}
    old = time.time() - 90 * 86_400
    for number in (1, 2, 3):
        for path in (copy := fetch_model(f"models:/{MODEL}/{number}", workspace)).rglob("*"):
            os.utime(path, (old, old))
        os.utime(copy, (old, old))
    return workspace


def copies(workspace: Path) -> list[str]:
    return sorted(path.name.partition("-")[0] for path in (workspace / "registered").glob("*/*"))


def test_versions_with_an_alias_are_references(three_versions: Path) -> None:
    references = registry_references()
    assert references.versions == {(MODEL, "2"), (MODEL, "3")}
    assert len(references.encoders) == 2


def test_only_the_copy_without_alias_is_removed(
    three_versions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(mirror, ["gc", "--dry-run"]) == 0
    assert "1 folder(s)" in capsys.readouterr().out
    assert copies(three_versions) == ["1", "2", "3"]
    assert run_guarded(mirror, ["gc"]) == 0
    shown = capsys.readouterr().out
    assert f"registered/{MODEL}/1-" in shown
    assert "MB removed" in shown
    assert copies(three_versions) == ["2", "3"]


def test_a_recently_used_copy_is_kept(three_versions: Path) -> None:
    fetch_model(f"models:/{MODEL}/1", three_versions)
    assert run_guarded(mirror, ["gc", "--keep-days", "1"]) == 0
    assert copies(three_versions) == ["1", "2", "3"]
