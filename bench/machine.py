"""Facts of the machine that speed depends on, and the memory of this process."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MEGABYTE = 1 << 20


def hardware() -> dict[str, Any]:
    """Return processor, cores, threads, memory, GPU, load and versions of libraries.

    Call it before the first measurement, because the load should be that of other programs.
    """
    names = ("torch", "transformers", "sentence-transformers", "tokenizers", "duckdb", "pyarrow")
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many"),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "gpu": gpu(),
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in names},
    }


def hardware_line(facts: Mapping[str, Any]) -> str:
    """Return the facts of `hardware` in one line."""
    versions = ", ".join(f"{name} {facts[name]}" for name in list(facts)[6:])
    card = f", {facts['gpu']}" if facts["gpu"] else ""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, "
        f"{facts['memory_gb']} GB{card}; load before {facts['load_before']:.1f}; {versions}"
    )


def processor() -> str:
    """Return the processor's name, family and model.

    Hypervisors often change the name, but not family and model.
    """
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", text, re.MULTILINE))
    name = facts.get("model name", platform.machine())
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if facts else name


def gpu() -> str:
    """Return the GPU's name as its driver reports it, or an empty text."""
    try:
        command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip().replace("\n", ", ")


def memory_now() -> float:
    """Return the resident memory of this process in MB."""
    return _status("VmRSS")


def memory_peak() -> float:
    """Return the peak of the resident memory of this process in MB.

    `getrusage` will not do: its `ru_maxrss` starts with the parent's memory at the fork.
    """
    return _status("VmHWM")


def _status(key: str) -> float:
    text = Path("/proc/self/status").read_text(encoding="ascii")
    [kilobytes] = re.findall(rf"^{key}:\s+(\d+) kB$", text, re.MULTILINE)
    return int(kilobytes) * 1024 / MEGABYTE
