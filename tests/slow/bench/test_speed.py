"""All benchmarks in one table."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

Script = Callable[[str], ModuleType]
FINDINGS = {
    "title": "Tuning",
    "settings": {"batch": 20},
    "rows": [{"what": "ours", "unit": "strings/s", "values": [5.0], "at_least": None}],
    "notes": [],
}


@pytest.fixture
def speed(script: Script, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return `bench.speed` with two benchmarks; `calls` are their arguments."""
    made: Any = script("speed")
    made.calls = []

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        made.calls.append(command[3:])
        failed = "--fails" in command
        return SimpleNamespace(returncode=int(failed), stdout=f"{json.dumps(FINDINGS)}\n")

    monkeypatch.setattr(made, "subprocess", SimpleNamespace(run=run, PIPE=-1))
    monkeypatch.setattr(made, "QUICK", "tuning_speed --steps 2\nencoding_speed\n")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    return made


def test_the_table_has_every_benchmark_and_the_machine_as_it_was_before(
    speed: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["speed.py", "--quick", "--threads", "1"])
    speed.main()
    assert speed.calls == [["--steps", "2", "--json"], ["--json"]]
    shown = capsys.readouterr().out
    assert shown.count("| ours | 5.00 strings/s |") == 2
    assert "cores, 1 threads" in shown


def test_results_before_a_failure_are_kept(
    speed: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(speed, "QUICK", "tuning_speed\nencoding_speed --fails\n")
    out = tmp_path / "speed.md"
    monkeypatch.setattr(sys, "argv", ["speed.py", "--quick", "--out", str(out)])
    with pytest.raises(SystemExit, match=r"bench\.encoding_speed failed"):
        speed.main()
    assert out.read_text().count("| ours | 5.00 strings/s |") == 1


@pytest.mark.parametrize("quick", [True, False])
def test_every_benchmark_takes_the_arguments_that_it_is_given(
    script: Script, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    class Parsed(Exception):
        """The arguments were taken."""

    for name, *arguments in script("speed").commands(quick):
        module = script(name)

        def begin(arguments: Any) -> None:
            raise Parsed

        monkeypatch.setattr(module, "begin", begin)
        monkeypatch.setattr(sys, "argv", [name, *arguments, "--json"])
        with pytest.raises(Parsed):
            module.main()
