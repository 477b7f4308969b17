from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType

import pytest

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


def test_findings_survive_json_and_make_one_table(script: Script) -> None:
    measuring = script("measuring")
    found = measuring.Findings("Tuning", {"batch": 20}, [measuring.Row("ours", "strings/s", [5.0])])
    again = measuring.from_content(json.loads(json.dumps(found.content())))
    machine = measuring.hardware() | {"threads": "3", "load_before": 0.25}
    table = measuring.markdown([again, again], machine)
    assert table.count("| ours | 5.00 strings/s |  |  |  |") == 2
    assert table.count("|---|---|") == 2  # one line of five
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
    measuring = script("measuring")
    before = measuring.memory_peak()
    block = bytearray(200 << 20)
    block[::4096] = b"x" * len(block[::4096])
    assert measuring.memory_peak() > before + 100
    del block
    assert measuring.memory_now() < measuring.memory_peak() - 100
