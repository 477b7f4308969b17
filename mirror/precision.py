"""What this machine's processor is good at."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

CPU_FACTS = Path("/proc/cpuinfo")
CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}


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
