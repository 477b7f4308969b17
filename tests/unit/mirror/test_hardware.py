"""Threads, cores and processor features."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mirror import hardware
from mirror.hardware import cpu_has_bf16

MANY_SHAPES = """
import re
from pathlib import Path
from mirror.hardware import keep_few_kernels
keep_few_kernels()
import torch
weight = torch.randn(256, 64, dtype=torch.bfloat16, requires_grad=True)
for rows in range(1, 301):
    values = torch.randn(64 + rows, 64, dtype=torch.bfloat16)
    torch.nn.functional.linear(values, weight).sum().backward()
    if rows in (100, 300):
        print(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def test_omp_num_threads_sets_the_thread_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert hardware.thread_count() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert hardware.thread_count() == 4


@pytest.mark.parametrize("value", ["", "0", "many"])
def test_the_default_is_all_usable_cores(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setattr(hardware, "CPU_QUOTA", Path("/nowhere"))
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert hardware.thread_count() == 6


@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1)]
)
def test_a_containers_quota_limits_the_cores(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, quota: str, cores: int
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(hardware, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(hardware.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert hardware.usable_cores() == cores


def test_waiting_threads_sleep_unless_the_user_sets_a_policy() -> None:
    environment = {"OMP_WAIT_POLICY": "ACTIVE"}
    hardware.calm_waiting(environment)
    assert environment == {"OMP_WAIT_POLICY": "ACTIVE"}
    environment.clear()
    hardware.calm_waiting(environment)
    assert environment == {"OMP_WAIT_POLICY": "PASSIVE"}


def test_kernel_caches_are_small_unless_the_user_sets_them() -> None:
    environment = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7"}
    hardware.keep_few_kernels(environment)
    assert environment == {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "7", "LRU_CACHE_CAPACITY": "16"}


@pytest.mark.skipif(not cpu_has_bf16(), reason="oneDNN is asked for bf16 where there is bf16")
def test_memory_does_not_grow_with_the_number_of_shapes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MANY_SHAPES],
        env={"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    after_100, after_300 = map(int, done.stdout.split())
    assert after_300 - after_100 < 40_000  # kB; 200,000 where all are kept


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


def test_without_processor_information_there_is_no_bf16_and_mkl_is_not_slow(tmp_path: Path) -> None:
    assert not hardware.cpu_has_bf16(tmp_path / "absent")
    assert not hardware.mkl_is_slow(tmp_path / "absent")
