from __future__ import annotations

from pathlib import Path

import pytest

from mirror import precision


@pytest.mark.parametrize(
    ("facts", "has_it"),
    [
        ("processor : 0\nflags\t\t: fpu avx512f avx512_bf16 amx\n", True),
        ("processor : 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd bf16 sve\n", True),
        ("model name : bf16 wonder\n", False),
    ],
)
def test_bf16_is_read_from_the_processors_flags(tmp_path: Path, facts: str, has_it: bool) -> None:
    (tmp_path / "cpuinfo").write_text(facts)
    assert precision.cpu_has_bf16(tmp_path / "cpuinfo") is has_it


def test_a_machine_that_does_not_say_has_no_bf16(tmp_path: Path) -> None:
    assert not precision.cpu_has_bf16(tmp_path / "absent")
