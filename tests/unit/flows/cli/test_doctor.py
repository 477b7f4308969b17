"""`mirror doctor`: its exit code and its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.doctor import check_settings
from flows.cli.errors import run_guarded
from flows.cli.main import mirror

SETTINGS = ("MIRROR_RUNS_PER_DEVICE", "MIRROR_RUNNER", "MIRROR_NOTIFY")


@pytest.fixture(autouse=True)
def unset_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of an empty workspace."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.mark.parametrize(("states", "code"), [(["ok", "warn"], 0), (["ok", "bad"], 1)])
def test_doctor_fails_only_if_something_is_bad(
    home: Path,
    states: list[str],
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from mirror.maintenance import doctor
    from mirror.maintenance.health_check import CheckResult

    results = [
        CheckResult(f"check {n}", state, "the result", "the remedy")
        for n, state in enumerate(states)
    ]  # type: ignore[arg-type]
    monkeypatch.setattr(doctor, "run_checks", lambda *_: tuple(results))
    assert run_guarded(mirror, ["doctor"]) == code
    shown = capsys.readouterr().out
    assert shown.count("the remedy") == 1
    assert "check 0" in shown


def test_a_faulty_setting_is_shown(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from mirror.maintenance import doctor

    monkeypatch.setattr(doctor, "run_checks", lambda *_: ())
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", "abc")
    assert run_guarded(mirror, ["doctor"]) == 1
    assert "MIRROR_RUNS_PER_DEVICE is 'abc'" in " ".join(capsys.readouterr().out.split())


def test_settings_are_fine_if_unset_or_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_settings().state == "ok"
    for name, value in zip(SETTINGS, ("2", "process", "slack-webhook/team"), strict=True):
        monkeypatch.setenv(name, value)
    assert check_settings().state == "ok"


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("MIRROR_RUNS_PER_DEVICE", "abc", "bad"),
        ("MIRROR_NOTIFY", "https://hooks.example/sEcret", "bad"),
        ("MIRROR_RUNNER", "spark", "warn"),
    ],
)
def test_an_invalid_setting_is_bad_if_every_run_would_fail(
    name: str, value: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    result = check_settings()
    assert (result.state, name in result.text) == (state, True)
    assert result.remedy
    assert "sEcret" not in result.text


def test_all_invalid_settings_are_one_result(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.setenv(name, "?")
    result = check_settings()
    assert result.state == "bad"
    assert all(name in result.text for name in SETTINGS)


def test_settings_are_checked_without_prefect() -> None:
    code = (
        "import sys; from flows.cli.doctor import check_settings; check_settings(); "
        "sys.exit('prefect' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
