"""Settings from the environment, as `mirror doctor` tells of them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tasks.settings import check_settings

NAMES = ("MIRROR_RUNS_PER_DEVICE", "MIRROR_RUNNER", "MIRROR_NOTIFY")


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def test_nothing_set_and_all_set_well_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_settings().state == "ok"
    for name, value in zip(NAMES, ("2", "process", "slack-webhook/team"), strict=True):
        monkeypatch.setenv(name, value)
    assert check_settings().state == "ok"


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("MIRROR_RUNS_PER_DEVICE", "abc", "bad"),
        ("MIRROR_NOTIFY", "https://hooks.example/geheim", "bad"),
        ("MIRROR_RUNNER", "spark", "warn"),
    ],
)
def test_what_cannot_be_read_is_named_and_bad_if_every_run_would_fail(
    name: str, value: str, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    finding = check_settings()
    assert (finding.state, name in finding.text) == (state, True)
    assert finding.remedy
    assert "geheim" not in finding.text


def test_all_that_is_wrong_is_one_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "?")
    finding = check_settings()
    assert finding.state == "bad"
    assert all(name in finding.text for name in NAMES)


def test_a_look_does_not_wait_for_prefect() -> None:
    code = "import sys, tasks.settings as s; s.check_settings(); sys.exit('prefect' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
