"""Whether this machine's processor computes in bf16 itself."""

from __future__ import annotations

import re
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


def cpu_has_bf16(facts: Path = CPU_FACTS) -> bool:
    """Whether the processor has instructions for bf16; elsewhere it is emulated and slow."""
    try:
        lines = facts.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = re.search(r"^(?:flags|Features)\s*:(.*)$", lines, re.MULTILINE)
    return flags is not None and not CPU_FLAGS.isdisjoint(flags[1].split())
