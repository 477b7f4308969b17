from __future__ import annotations

from pathlib import Path

import pytest

from mirror import hardware


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
    assert hardware.cpu_has_bf16(tmp_path / "cpuinfo") is has_it


def test_bf16_is_false_without_processor_information(tmp_path: Path) -> None:
    assert not hardware.cpu_has_bf16(tmp_path / "absent")


@pytest.mark.parametrize(
    ("facts", "slow"),
    [
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2 avx512f\n", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: fpu avx2\n", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: fpu avx2 avx512f\n", False),
    ],
)
def test_mkl_is_slow_on_amd_processors_with_avx_512(tmp_path: Path, facts: str, slow: bool) -> None:
    (tmp_path / "cpuinfo").write_text(facts)
    assert hardware.mkl_is_slow(tmp_path / "cpuinfo") is slow


def test_mkl_is_not_slow_without_processor_information(tmp_path: Path) -> None:
    assert not hardware.mkl_is_slow(tmp_path / "absent")
