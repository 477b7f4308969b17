"""Threads, cores and processor features.

This module never imports torch: OpenMP reads its settings when torch is first imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import MutableMapping
from functools import lru_cache
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
KEPT_KERNELS = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",  # for all threads
    "LRU_CACHE_CAPACITY": "16",  # torch's own, of each kind and on each thread
}
"""More than one slice of a batch needs."""


def thread_count() -> int:
    """OMP_NUM_THREADS if that is set, else every core that this process may use."""
    wanted = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if wanted.isdecimal() and int(wanted) > 0:
        return int(wanted)
    return usable_cores()


def usable_cores() -> int:
    """Cores that this process may run on, less what a container's quota takes away."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def calm_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Lets waiting threads sleep instead of spin, unless the environment says otherwise.

    Beside a busy core they spin while the one that they wait for cannot run: a training step then
    takes ten times as long.  No effect once torch is imported.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_few_kernels(environment: MutableMapping[str, str] = os.environ) -> None:
    """Bounds the memory for oneDNN's kernels once made, unless the environment says otherwise.

    OneDNN makes one for each shape, and both it and torch keep a thousand, with what they work in;
    slices of a batch hardly ever have a shape twice.  No effect once oneDNN has computed anything.
    """
    for name, kept in KEPT_KERNELS.items():
        environment.setdefault(name, kept)


def _quota() -> int:
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return 1 << 16


def cpu_has_bf16(facts: Path = CPU_FACTS) -> bool:
    """Whether the processor has instructions for bf16; elsewhere it is emulated and slow."""
    return not CPU_FLAGS.isdisjoint(_flags(_read(facts)))


@lru_cache
def mkl_is_slow(facts: Path = CPU_FACTS) -> bool:
    """Whether MKL leaves AVX-512 alone, as it does on AMD's processors, and oneDNN does not."""
    lines = _read(facts)
    return "AuthenticAMD" in lines and "avx512f" in _flags(lines)


def _read(facts: Path) -> str:
    try:
        return facts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _flags(lines: str) -> list[str]:
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", lines, re.MULTILINE)
    return found[1].split() if found else []
