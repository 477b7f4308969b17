"""What the speed benchmarks have in common: sides in turn, rows, goals, the machine's name.

Each side of a comparison runs in a process of its own, so that its peak memory is its own, and
sides take turns, so that a change of the machine's load meets all of them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Row:
    """One measured thing."""

    what: str
    unit: str
    values: list[float]
    """One for each round."""
    at_least: float | None = None
    """The goal, where there is one."""

    @property
    def median(self) -> float:
        """The value that is told."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met, if there is one."""
        return None if self.at_least is None else self.median >= self.at_least

    def cells(self) -> list[str]:
        """The row as text: what, median, spread, goal, verdict."""
        low, high = min(self.values), max(self.values)
        spread = f"{shown(low)} to {shown(high)}" if len(self.values) > 1 else ""
        goal = "" if self.at_least is None else f"at least {shown(self.at_least)}"
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return [self.what, f"{shown(self.median)} {self.unit}", spread, goal, verdict]


def shown(value: float) -> str:
    """Three figures or all digits before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"


def ratios(of: Sequence[float], by: Sequence[float]) -> list[float]:
    """Round by round, so that each ratio is of neighbours in time."""
    return [first / second for first, second in zip(of, by, strict=True)]


@dataclass(frozen=True)
class Findings:
    """What one benchmark came to."""

    title: str
    settings: Mapping[str, Any]
    rows: list[Row]
    notes: Sequence[str] = ()

    def content(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def markdown(findings: Sequence[Findings], machine: Mapping[str, Any]) -> str:
    """The machine, then one table of all rows, then what was set and what is to be known."""
    lines = [hardware_line(machine), "", "| | median | spread | goal | |", "|---|---|---|---|---|"]
    for found in findings:
        lines.append(f"| **{found.title}** | | | | |")
        lines += [f"| {' | '.join(row.cells())} |" for row in found.rows]
    for found in findings:
        told = ", ".join(f"{key} {value}" for key, value in found.settings.items())
        lines += ["", f"{found.title}: {told}.", *found.notes]
    return "\n".join(lines)


def from_content(content: Mapping[str, Any]) -> Findings:
    """What `Findings.content` gave, again."""
    rows = [Row(**row) for row in content["rows"]]
    return Findings(content["title"], content["settings"], rows, content["notes"])


def hardware() -> dict[str, Any]:
    """Processor, cores, threads, memory, GPU and the versions that speed depends on.

    To be asked before anything is measured: the load is what others made.
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
    """What `hardware` found, in one line."""
    versions = ", ".join(f"{name} {facts[name]}" for name in list(facts)[6:])
    card = f", {facts['gpu']}" if facts["gpu"] else ""
    return (
        f"{facts['processor']}, {facts['cores']} cores, {facts['threads']} threads, "
        f"{facts['memory_gb']} GB{card}; load before {facts['load_before']:.1f}; {versions}"
    )


def processor() -> str:
    """The processor's name, and its family and model, which hypervisors leave in."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return platform.processor() or platform.machine()
    facts = dict(re.findall(r"^(model name|cpu family|model)\s*:\s*(.*)$", told, re.MULTILINE))
    name = facts.get("model name", platform.machine())
    return f"{name} (family {facts['cpu family']}, model {facts['model']})" if facts else name


def gpu() -> str:
    """The GPU's name as its driver tells it, or nothing."""
    try:
        asked = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        told = subprocess.run(asked, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return told.stdout.strip().replace("\n", ", ")


def memory_now() -> float:
    """Resident memory of this process, MB."""
    return _status("VmRSS")


def memory_peak() -> float:
    """The most that this process had resident, MB.

    Not `getrusage`: its `ru_maxrss` starts from what the parent had when this was forked.
    """
    return _status("VmHWM")


def _status(key: str) -> float:
    told = Path("/proc/self/status").read_text(encoding="ascii")
    [kilobytes] = re.findall(rf"^{key}:\s+(\d+) kB$", told, re.MULTILINE)
    return int(kilobytes) * 1024 / MEGABYTE


def run_side(
    script: str, side: str, asked: Mapping[str, Any], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """One side of a comparison in a fresh process; what it prints last is its result."""
    command = [sys.executable, str(Path(script).resolve()), "--side", side, json.dumps(dict(asked))]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1", **(environment or {})},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-3_000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def take_turns(
    sides: Mapping[str, Callable[[], dict[str, Any]]], rounds: int
) -> dict[str, list[dict[str, Any]]]:
    """Runs every side once a round, in turn: A B C, A B C; told on standard error."""
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    for number in range(rounds):
        for side, run in sides.items():
            made = run()
            results[side].append(made)
            numbers = {key: value for key, value in made.items() if isinstance(value, int | float)}
            told = ", ".join(f"{key} {shown(value)}" for key, value in numbers.items())
            print(f"round {number + 1}, {side}: {told}", file=sys.stderr, flush=True)
    return results


def each(results: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """One number of every round."""
    return [float(result[key]) for result in results]


def parser(documentation: str) -> argparse.ArgumentParser:
    """Arguments that all of them take."""
    made = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=3)
    made.add_argument("--threads", type=int, help="OMP_NUM_THREADS of all sides")
    made.add_argument("--json", action="store_true", help="print JSON, for `mirror bench`")
    made.add_argument("--side", nargs=2, metavar=("NAME", "JSON"), help=argparse.SUPPRESS)
    return made


def begin(asked: argparse.Namespace) -> dict[str, Any]:
    """Sets what every process started from here on inherits; the machine, unless it is a side."""
    if asked.threads:
        os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return {} if asked.side else hardware()


def tell(found: Findings, machine: Mapping[str, Any], as_json: bool) -> None:
    """Prints the findings."""
    content = found.content() | {"hardware": machine}
    print(json.dumps(content) if as_json else markdown([found], machine))
