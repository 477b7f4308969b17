"""`mirror promote`, `mirror history` and `mirror rollback`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.cli.promote import history_table
from mirror.release.history import VersionSummary
from tests.fixtures.flows import Command

MODEL = "mirror-en-trades"


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A store with two versions pending approval, one with a terminal escape code in a tag."""
    from mlflow.tracking import MlflowClient

    address = f"sqlite:///{tmp_path / 'mlflow.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    client = MlflowClient(address)
    client.create_registered_model(MODEL)
    for recipe, compared in (("en-trades", {}), ("\x1b[31mred", {"compared_with": "1"})):
        tags = {"recipe": recipe, "promotion_status": "pending approval", **compared}
        version = client.create_model_version(MODEL, str(tmp_path), tags=tags)
        client.set_registered_model_alias(MODEL, "challenger", str(version.version))
    return client


def test_promotion_history_and_rollback(client: Any, tmp_path: Path, command: Command) -> None:
    assert command("promote", MODEL, "1") == f"{MODEL} version 1: champion\n"
    up = command("promote", MODEL).splitlines()
    assert up[0] == f"{MODEL} version 2: champion after version 1"
    assert up[1].endswith(f"models:/{MODEL}/1 models:/{MODEL}/2 --texts FILE --save-map map.npz")
    back = command("rollback", MODEL, "--reason", "slow [bold]answers").splitlines()
    assert back[0] == f"{MODEL}: back from version 2 to version 1"
    pair = f"models:/{MODEL}/2 models:/{MODEL}/1"
    assert back[1].endswith(f"mirror compare {pair} --recipe en-trades --save-map map.npz")
    page = tmp_path / "history.html"
    table = command("history", MODEL, "--out", str(page))
    assert "slow [bold]answers" in table
    assert "\x1b[31m" not in table and "�[31mred" in table
    assert "slow [bold]answers" in page.read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.glob("*history*")] == ["history.html"]
    assert "is its first champion" in command("rollback", MODEL, code=1)
    assert "was rolled back: give --force" in command("promote", MODEL, code=1)
    assert "although version 2 was rolled back" in command("promote", MODEL, "--force")


@pytest.mark.parametrize(
    ("place", "complaint"),
    [("page.txt", "ends in neither .html"), ("none/page.html", "create none first")],
)
def test_a_page_that_cannot_be_written_is_refused_before_the_registry_is_asked(
    place: str,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Command,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.chdir(tmp_path)
    assert complaint in command("history", MODEL, "--out", place, code=1)


def test_versions_are_numbers(command: Command) -> None:
    for version in ("0", "latest", "-1", "1.5"):
        command("promote", MODEL, "--", version, code=2)


def test_scores_are_listed_by_domain_and_general_with_the_change_over_generations() -> None:
    def version(number: str, score: float, parent: str = "") -> VersionSummary:
        scores = {"passage-retrieval": (None, 0.5), "stsb": (0.75, score)}
        fixed = ("2026-01-02T03:04:05+00:00", "en-trades", "", scores, "", "", "refused", (), ())
        return VersionSummary(number, *fixed, frozenset({"stsb"}), parent)

    table = history_table(MODEL, [version("1", 0.75), version("2", 0.7, "1")])
    headings = [str(column.header) for column in table.columns]
    cells = {
        heading: [str(cell) for cell in column.cells]
        for heading, column in zip(headings, table.columns, strict=True)
    }
    assert cells["general"] == [
        "stsb .750 → .750",
        "stsb .750 → .700, −.050 since version 1: loss",
    ]
    assert cells["domain"][1] == "passage-retrieval – → .500, +.000 since version 1"
