"""All speed benchmarks in turn, as one Markdown table; `mirror bench` runs it.

python -m bench.speed --quick
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from bench.machine import hardware
from bench.measuring import Findings, from_content, markdown, print_line
from mirror.paths import CHECKOUT

ALL = """
tuning_speed --rounds 3 --steps 20
tuning_speed --rounds 2 --steps 3 --batch-size 64 --layers 12 --width 768
crops_speed --rounds 3 --steps 10
encoding_speed --rounds 3 --strings 2000
busy_machine --rounds 2 --steps 6 --only ours "the trainer"
data_speed --rounds 1 --gigabytes 0.1 1 5 --lines
data_speed --rounds 1 --gigabytes 0.1 1
"""
QUICK = """
tuning_speed --rounds 1 --steps 5
crops_speed --rounds 1 --steps 3
encoding_speed --rounds 1 --strings 1000
data_speed --rounds 1 --gigabytes 0.01 0.03
busy_machine --rounds 1 --steps 4 --only ours
"""
TAKES_TEXTS = ("tuning_speed", "encoding_speed", "busy_machine")


def commands(quick: bool) -> list[list[str]]:
    """Return each benchmark's module and its arguments."""
    return [shlex.split(line) for line in (QUICK if quick else ALL).strip().splitlines()]


def run(module: str, arguments: list[str]) -> Findings:
    """Run one benchmark and return its findings; its progress goes to standard error."""
    command = [sys.executable, "-m", f"bench.{module}", *arguments, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    if done.returncode:
        raise SystemExit(f"bench.{module} failed: its message is above")
    return from_content(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Print the table; with `--out`, write it to a file after each benchmark too."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="ten minutes instead of an hour")
    parser.add_argument("--out", type=Path, help="write the table to this file too")
    parser.add_argument("--threads", type=int, help="OMP_NUM_THREADS of all sides")
    parser.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    options = parser.parse_args()
    if options.threads:
        os.environ["OMP_NUM_THREADS"] = str(options.threads)
    machine, console = hardware(), Console(stderr=True)
    findings: list[Findings] = []
    chosen = commands(options.quick)
    for number, (module, *arguments) in enumerate(chosen, 1):
        if options.texts and module in TAKES_TEXTS:
            arguments += ["--texts", str(options.texts.absolute())]
        print_line(console, f"{number} of {len(chosen)}: {' '.join([module, *arguments])}")
        findings.append(run(module, arguments))
        if options.out:  # now, because the next benchmark may fail
            options.out.write_text(markdown(findings, machine) + "\n", encoding="utf-8")
    print(markdown(findings, machine))


if __name__ == "__main__":
    main()
