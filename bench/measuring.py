"""Common parts of the speed benchmarks: sides that take turns, rows with goals, the machine.

Each side of a comparison runs in a process of its own, so that its peak memory is its own. Sides
take turns, so that a change of the machine's load affects all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.machine import hardware, hardware_line
from mirror.paths import CHECKOUT
from mirror.rendering import markdown_table

Settings = dict[str, Any]
"""Settings of a side, as JSON."""
Side = Callable[[Settings], dict[str, Any]]
"""Runs one side of a comparison and returns what it measured."""


TUNING: Mapping[str, type[int] | type[float]] = {
    "steps": int,
    "batch_size": int,
    "max_tokens": int,
    "learning_rate": float,
    "temperature": float,
}
"""Numbers that all benchmarks of tuning take, with their types."""


@dataclass(frozen=True)
class Row:
    """One measured quantity."""

    what: str
    unit: str
    values: list[float]
    """One for each round."""
    at_least: float | None = None
    """The goal, if it is a lower bound."""
    at_most: float | None = None
    """The goal, if it is an upper bound."""

    @property
    def median(self) -> float:
        """The value that is reported and compared with the goal."""
        return median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal."""
        if self.at_least is not None:
            return self.median >= self.at_least
        return None if self.at_most is None else self.median <= self.at_most

    def cells(self) -> list[str]:
        """Return the row as text: name, median, spread, goal, verdict."""
        low, high = min(self.values), max(self.values)
        spread = f"{shown(low)} to {shown(high)}" if len(self.values) > 1 else ""
        goal = "" if self.at_least is None else f"at least {shown(self.at_least)}"
        if self.at_most is not None:
            goal = f"at most {shown(self.at_most)}"
        verdict = {None: "", True: "met", False: "**missed**"}[self.met]
        return [self.what, f"{shown(self.median)} {self.unit}".rstrip(), spread, goal, verdict]


def shown(value: float) -> str:
    """Return a number with three figures, or with all digits before the point."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}" if abs(value) >= 0.01 or value == 0 else f"{value:.1e}"


def ratios(of: Sequence[float], by: Sequence[float]) -> list[float]:
    """Return the ratio of each round, whose two measurements are close in time."""
    return [first / second for first, second in zip(of, by, strict=True)]


@dataclass(frozen=True)
class Findings:
    """Results of one benchmark."""

    title: str
    settings: Mapping[str, Any]
    rows: list[Row]
    notes: Sequence[str] = ()

    def content(self) -> dict[str, Any]:
        """Return the findings as JSON values."""
        return asdict(self)


def markdown(findings: Sequence[Findings], machine: Mapping[str, Any]) -> str:
    """Return the machine, one table of all rows, and settings and notes, as Markdown."""
    rows = []
    for found in findings:
        rows.append([f"**{found.title}**", "", "", "", ""])
        rows += [row.cells() for row in found.rows]
    head = ["", "median", "spread", "goal", ""]
    lines = [hardware_line(machine), "", markdown_table(head, rows, text_columns=len(head))]
    for found in findings:
        settings = ", ".join(f"{key} {value}" for key, value in found.settings.items())
        lines += ["", f"{found.title}: {settings}.", *found.notes]
    return "\n".join(lines)


def from_content(content: Mapping[str, Any]) -> Findings:
    """Return the findings that `Findings.content` returned as JSON values."""
    rows = [Row(**row) for row in content["rows"]]
    return Findings(content["title"], content["settings"], rows, content["notes"])


def run_side(
    script: str, side: str, settings: Settings, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Run one side of a comparison in a fresh process; its last line is its result as JSON."""
    command = [sys.executable, str(Path(script).resolve()), "--side", side, json.dumps(settings)]
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
    """Run every side once in each round, in turn (A B C, A B C), and return their results.

    Progress goes to standard error: a bar if it is a terminal, and a line for each result.
    """
    results: dict[str, list[dict[str, Any]]] = {side: [] for side in sides}
    with progress_bar(rounds * len(sides)) as bar:
        for number in range(1, rounds + 1):
            for side, run in sides.items():
                bar.update(bar.task_ids[0], description=f"round {number}, {side}")
                result = run()
                results[side].append(result)
                numbers = ", ".join(
                    f"{key} {shown(value)}"
                    for key, value in result.items()
                    if isinstance(value, int | float)
                )
                print_line(bar.console, f"round {number}, {side}: {numbers}")
                bar.advance(bar.task_ids[0])
    return results


@contextmanager
def progress_bar(total: int) -> Iterator[Progress]:
    """Within the block, show a bar with one task on standard error if it is a terminal."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        bar.add_task("", total=total)
        yield bar


def print_line(console: Console, text: str) -> None:
    """Print a line, above the bar if there is one."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def each(results: Sequence[Mapping[str, Any]], key: str) -> list[float]:
    """Return one number of every round."""
    return [float(result[key]) for result in results]


def make_parser(documentation: str) -> argparse.ArgumentParser:
    """Return a parser with the arguments that all speed benchmarks have."""
    parser = argparse.ArgumentParser(
        description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS of all sides")
    parser.add_argument("--json", action="store_true", help="print JSON, for `mirror bench`")
    parser.add_argument("--side", nargs=2, metavar=("NAME", "JSON"), help=argparse.SUPPRESS)
    return parser


def add_base_and_texts(
    parser: argparse.ArgumentParser, *, random_weights: bool = True, texts: bool = True
) -> None:
    """Add arguments for the base, and for the strings to run on or the main job's workspace."""
    parser.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    if random_weights:
        parser.add_argument("--layers", type=int, default=0, help="a base of random weights")
        parser.add_argument("--width", type=int, default=768, help="its width, with --layers")
    if texts:
        help_text = "lines, or Parquet; else the main job's strings"
        parser.add_argument("--texts", type=Path, help=help_text)
    parser.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))


def add_tuning(parser: argparse.ArgumentParser, **defaults: float) -> None:
    """Add arguments for tuning; `defaults` are those of the numbers."""
    for name, kind in TUNING.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=defaults[name])
    parser.add_argument("--pooling", choices=["cls", "mean"], default="cls")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--extra", default="{}", metavar="JSON", help="more settings of ours")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")


def size_label(arguments: argparse.Namespace) -> str:
    """Return the size of a base of random weights, such as `12 x 768`, or the base's name."""
    if arguments.layers:
        return f"{arguments.layers} x {arguments.width}"
    return str(arguments.base.name)


def begin(arguments: argparse.Namespace) -> dict[str, Any]:
    """Set the environment of all sides, and return the machine's facts unless this is a side."""
    if arguments.threads:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return {} if arguments.side else hardware()


def run_if_side(arguments: argparse.Namespace, sides: Mapping[str, Side]) -> bool:
    """Run a side and print its result as JSON, if `--side` asks for one."""
    if not arguments.side:
        return False
    name, settings = arguments.side
    print(json.dumps(sides[name](json.loads(settings))))
    return True


def print_findings(findings: Findings, machine: Mapping[str, Any], as_json: bool) -> None:
    """Print the findings as Markdown or JSON."""
    content = findings.content() | {"hardware": machine}
    print(json.dumps(content) if as_json else markdown([findings], machine))
