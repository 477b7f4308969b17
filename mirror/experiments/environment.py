"""Where and with what the values were measured."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path

from mirror.hardware import CPU_FACTS, thread_count, usable_cores
from mirror.provenance import git_commit, library_versions

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy", "scipy")


def machine() -> dict[str, str]:
    """Processor, cores, memory, and the GPU if torch is loaded and uses one."""
    told = {
        "processor": _processor(),
        "cores": f"{usable_cores()} usable, {thread_count()} thread(s)",
        "memory": f"{_memory() / 2**30:.0f} GiB",
    }
    # What was all reused has not loaded torch, and says nothing of a GPU that it did not use.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        told["GPU"] = str(torch.cuda.get_device_name())
    return told


def versions() -> dict[str, str]:
    """This project's commit, Python, and the libraries that numbers depend on."""
    return {
        "commit": git_commit(),
        "python": platform.python_version(),
        **library_versions(LIBRARIES),
    }


def _processor(facts: Path = CPU_FACTS) -> str:
    try:
        told = facts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        told = ""
    found = re.search(r"^model name\s*:\s*(.+)$", told, re.MULTILINE)
    return found[1].strip() if found else platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
