"""`mirror new`: what it writes, prints and refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from flows.cli import new as command
from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.errors import CorpusError, ServiceError
from mirror.paths import CHECKOUT

OPTIONS = ("--language", "en", "--domain", "tickets", "--base", "models/mirror-mini-en")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with recipes and deployments, and a text."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(command, "RECIPES", tmp_path / "recipes")
    monkeypatch.setattr(command, "DEPLOYMENTS", tmp_path / "prefect.yaml")
    monkeypatch.setattr(command, "_has_gpu", lambda: False)
    (tmp_path / "recipes").mkdir()
    shutil.copy(CHECKOUT / "prefect.yaml", tmp_path)
    lines = (
        " ".join(f"The old printer in room {n} stops after an update." for n in range(m, m + 4))
        for m in range(0, 2_000, 4)
    )
    (tmp_path / "text.txt").write_text("\n".join(lines))
    return tmp_path


def run(checkout: Path, *options: str) -> int:
    text = ("--text", str(checkout / "text.txt"))
    return run_guarded(mirror, ["new", "en-tickets", *text, *OPTIONS, *options])


def is_unchanged(checkout: Path) -> bool:
    shipped = (CHECKOUT / "prefect.yaml").read_bytes()
    return not list((checkout / "recipes").iterdir()) and (
        shipped == (checkout / "prefect.yaml").read_bytes()
    )


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_check_run", lambda *_: "")


@pytest.mark.usefixtures("ready")
def test_recipe_and_deployment_are_written(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(checkout) == 0
    assert 'level = "sentence"' in (checkout / "recipes" / "en-tickets.toml").read_text()
    assert "    name: en-tickets\n" in (checkout / "prefect.yaml").read_text()
    assert "next: mirror run en-tickets" in capsys.readouterr().out


def test_a_dry_run_prints_both_and_writes_neither(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(checkout, "--dry-run") == 0
    shown = capsys.readouterr().out
    assert "[corpus]" in shown and "name: en-tickets" in shown
    assert is_unchanged(checkout)


def test_an_existing_name_is_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (checkout / "recipes" / "en-tickets.toml").write_text("")
    assert run(checkout) == 1
    assert "en-tickets.toml exists: choose another name" in capsys.readouterr().err


def test_a_faulty_schedule_is_refused(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(checkout, "--cron", "weekly") == 1
    assert "weekly" in capsys.readouterr().err
    assert is_unchanged(checkout)


def test_what_fails_leaves_nothing_written(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> str:
        raise CorpusError("no text")

    monkeypatch.setattr(command, "_check_run", fail)
    assert run(checkout) == 1
    assert is_unchanged(checkout)
    monkeypatch.setattr(command, "_check_run", lambda *_: "")
    (checkout / "recipes").rmdir()
    (checkout / "recipes").write_text("a file")
    assert run(checkout) == 1
    assert (checkout / "prefect.yaml").read_bytes() == (CHECKOUT / "prefect.yaml").read_bytes()


def test_a_hub_that_does_not_answer_pauses_the_schedule(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "_check_run", lambda *_: "the hub did not answer")
    assert run(checkout) == 0
    assert "its schedule is paused: the hub did not answer" in capsys.readouterr().out
    added = yaml.safe_load((checkout / "prefect.yaml").read_text())["deployments"][-1]
    assert (added["name"], added["schedules"][0]["active"]) == ("en-tickets", False)
    (checkout / "recipes" / "en-tickets.toml").unlink()
    shutil.copy(CHECKOUT / "prefect.yaml", checkout)
    assert run(checkout, "--rehearse") == 1
    assert is_unchanged(checkout)


def test_faults_of_services_are_returned_and_others_raised(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks import preflight

    def away(_: object) -> None:
        raise ServiceError("away")

    monkeypatch.setattr(preflight, "check_run", away)
    from mirror.corpus.text_survey import survey_text
    from mirror.recipe_draft import draft_recipe

    survey = survey_text(str(checkout / "text.txt"), "en")
    recipe = draft_recipe("en-a", "en", "a", survey, base="models/mirror-mini-en").recipe
    assert command._check_run(recipe, survey) == "away"
