"""`mirror doctor`: its exit code and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror


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
