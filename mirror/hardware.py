"""Threads, cores and processor features.

This module never imports torch: OpenMP reads its settings when torch is first imported.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
KERNEL_CACHE_SIZES = {
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "64",  # for all threads, in oneDNN
    "LRU_CACHE_CAPACITY": "16",  # for each kind of kernel and thread, in torch
}
"""Sizes of kernel caches: enough for one micro-batch."""


def thread_count() -> int:
    """Return OMP_NUM_THREADS if it is set, else the number of cores that this process may use."""
    setting = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if setting.isdecimal() and int(setting) > 0:
        return int(setting)
    return usable_cores()


def usable_cores() -> int:
    """Return the number of cores that this process may run on, within a container's quota."""
    if hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota()))


def calm_waiting(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let waiting OpenMP threads sleep instead of spin, unless the environment says otherwise.

    On a busy machine, spinning threads keep the thread that they wait for from running: a training
    step takes ten times as long.  No effect once torch is imported.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def keep_few_kernels(environment: MutableMapping[str, str] = os.environ) -> None:
    """Limit the caches of oneDNN's kernels, unless the environment says otherwise.

    OneDNN compiles a kernel for each shape; it and torch cache a thousand with their buffers, while
    micro-batches hardly ever have the same shape.  No effect after oneDNN's first computation.
    """
    for name, size in KERNEL_CACHE_SIZES.items():
        environment.setdefault(name, size)


def _quota() -> int:
    try:
        quota, period = CPU_QUOTA.read_text(encoding="ascii").split()
        return max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return 1 << 16


def cpu_has_bf16(facts: Path = CPU_FACTS) -> bool:
    """Return whether the processor has instructions for bf16; without, it is emulated and slow."""
    return not CPU_FLAGS.isdisjoint(_flags(_read(facts)))


@lru_cache
def mkl_is_slow(facts: Path = CPU_FACTS) -> bool:
    """Return whether oneDNN is faster than MKL: on AMD's processors only oneDNN uses AVX-512."""
    lines = _read(facts)
    return "AuthenticAMD" in lines and "avx512f" in _flags(lines)


def _read(facts: Path) -> str:
    try:
        return facts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _flags(lines: str) -> list[str]:
    match = re.search(r"^(?:flags|Features)\s*:(.*)$", lines, re.MULTILINE)
    return match[1].split() if match else []


def describe_machine(facts: Path = CPU_FACTS) -> dict[str, str]:
    """Return processor, cores and memory, and the GPU if torch is loaded and uses one."""
    model = re.search(r"^model name\s*:\s*(.+)$", _read(facts), re.MULTILINE)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    machine = {
        "processor": model[1].strip() if model else platform.machine(),
        "cores": f"{usable_cores()} usable, {thread_count()} thread(s)",
        "memory": f"{memory / 2**30:.0f} GiB",
    }
    # If everything was reused, torch is not loaded and no GPU was used.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        machine["GPU"] = str(torch.cuda.get_device_name())
    return machine


def release_memory() -> None:
    """Return memory that was freed to the operating system, where the C library can.

    glibc keeps what tensors of many sizes leave, which grows over hours of encoding.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
