from __future__ import annotations

import io
import json
from collections.abc import Callable
from types import ModuleType

import pytest
from rich.console import Console

Script = Callable[[str], ModuleType]


def test_a_row_shows_median_spread_and_verdict(script: Script) -> None:
    row = script("measuring").Row("ours / theirs", "times", [2.0, 4.0, 3.0], 2.5)
    assert row.cells() == [
        "ours / theirs",
        "3.00 times",
        "2.00 to 4.00",
        "at least 2.50",
        "met",
    ]


def test_a_goal_may_be_an_upper_bound(script: Script) -> None:
    row = script("measuring").Row("difference", "", [0.5], at_most=0.25)
    assert row.cells() == ["difference", "0.50", "", "at most 0.25", "**missed**"]


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0.00"), (0.001, "1.0e-03"), (3.14159, "3.14"), (12345.6, "12,346")]
)
def test_numbers_have_three_significant_figures(script: Script, value: float, text: str) -> None:
    assert script("measuring").shown(value) == text


def test_programs_take_turns(script: Script) -> None:
    order: list[str] = []
    sides = {name: lambda name=name: order.append(name) or {} for name in "AB"}
    made = script("measuring").take_turns(sides, 2)
    assert order == ["A", "B", "A", "B"]
    assert {side: len(results) for side, results in made.items()} == {"A": 2, "B": 2}


def test_results_are_plain_lines_where_standard_error_is_no_terminal(
    script: Script, capsys: pytest.CaptureFixture[str]
) -> None:
    script("measuring").take_turns({"ours [a]": lambda: {"seconds": 2.0, "name": "x"}}, 2)
    lines = [f"round {number}, ours [a]: seconds 2.00" for number in (1, 2)]
    shown = capsys.readouterr()
    assert (shown.out, shown.err.splitlines()) == ("", lines)


def test_a_terminal_gets_a_bar_of_all_runs(script: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    measuring, file = script("measuring"), io.StringIO()
    console = Console(file=file, force_terminal=True, width=120)
    monkeypatch.setattr(measuring, "Console", lambda **_: console)
    measuring.take_turns({"ours": dict, "theirs": dict}, 2)
    assert "4/4" in file.getvalue()
    assert "round 2, theirs" in file.getvalue()


def test_findings_survive_json_and_make_one_table(script: Script) -> None:
    measuring = script("measuring")
    found = measuring.Findings("Tuning", {"batch": 20}, [measuring.Row("ours", "strings/s", [5.0])])
    again = measuring.from_content(json.loads(json.dumps(found.content())))
    machine = script("machine").hardware() | {"threads": "3", "load_before": 0.25}
    table = measuring.markdown([again, again], machine)
    assert table.count("| ours | 5.00 strings/s |  |  |  |") == 2
    assert table.count("| --- | --- | --- | --- | --- |") == 1
    assert f"{machine['cores']} cores, 3 threads" in table
    assert "load before 0.2;" in table


def test_a_side_that_fails_ends_the_benchmark_with_its_message(
    script: Script, tmp_path: object
) -> None:
    place = tmp_path / "failing.py"  # type: ignore[operator]
    place.write_text("import sys\nsys.exit('no such base')\n")
    with pytest.raises(SystemExit, match="no such base"):
        script("measuring").run_side(str(place), "ours", {})


def test_memory_is_this_process_own(script: Script) -> None:
    machine = script("machine")
    before = machine.memory_peak()
    block = bytearray(200 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert machine.memory_peak() > before + 100
    del block
    assert machine.memory_now() < machine.memory_peak() - 100
