"""Hardware and software that values were measured with."""

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
    """Return processor, cores and memory, and the GPU if torch is loaded and uses one."""
    hardware = {
        "processor": _processor(),
        "cores": f"{usable_cores()} usable, {thread_count()} thread(s)",
        "memory": f"{_memory() / 2**30:.0f} GiB",
    }
    # If everything was reused, torch is not loaded and no GPU was used.
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        hardware["GPU"] = str(torch.cuda.get_device_name())
    return hardware


def versions() -> dict[str, str]:
    """Return this project's commit, Python, and the libraries that values depend on."""
    return {
        "commit": git_commit(),
        "python": platform.python_version(),
        **library_versions(LIBRARIES),
    }


def _processor(facts: Path = CPU_FACTS) -> str:
    try:
        text = facts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    model = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return model[1].strip() if model else platform.machine()


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
