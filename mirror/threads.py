"""How many threads a computation gets, and how they wait.

Light on purpose: OpenMP reads its settings when torch is first imported, so they are set before.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

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
