from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

Script = Callable[[str], ModuleType]


def running() -> int:
    """Return the number of busy programs that a benchmark started."""
    found = 0
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += place.read_bytes().endswith(b"-c\0while True: pass\0")
        except OSError:
            continue
    return found


def test_busy_programs_end_with_the_block(script: Script) -> None:
    busy, before = script("busy_machine"), running()
    with busy.busy_programs(2):
        assert running() == before + 2
    time.sleep(0.1)
    assert running() == before


def test_quiet_and_busy_are_compared_setting_by_setting(
    script: Script, tmp_path: Path, sentences: list[str], monkeypatch: object
) -> None:
    busy = script("busy_machine")
    (tmp_path / "texts.txt").write_text("\n".join(sentences))
    seen = []

    def beside(count: int, settings: dict, name: str) -> dict:
        seen.append((count, name))
        return {"strings_per_second": 100.0 if count == 0 else 40.0}

    busy.run_beside = beside
    given = type(
        "Asked",
        (),
        {
            "texts": tmp_path / "texts.txt",
            "steps": 2,
            "batch_size": 20,
            "workspace": tmp_path,
            "base": tmp_path,
            "only": ["ours", "ours, one thread"],
            "programs": 1,
            "rounds": 1,
        },
    )
    rows = {row.what: row for row in busy.compare(given, tmp_path).rows}
    both = ("ours", "ours, one thread")
    assert seen == [(count, name) for name in both for count in (0, 1)]
    assert rows["ours: share left"].values == [40.0]
    assert rows["ours: share left"].met is False
