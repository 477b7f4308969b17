"""All speed benchmarks, one after the other, as one Markdown table: what `mirror bench` runs.

python bench/speed.py --quick
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

from measuring import CHECKOUT, Findings, from_content, hardware, markdown

BENCH = CHECKOUT / "bench"
WHOLE = """
tuning_speed.py --rounds 3 --steps 20
tuning_speed.py --rounds 2 --steps 3 --batch-size 64 --layers 12 --width 768
encoding_speed.py --rounds 3 --strings 2000
busy_machine.py --rounds 2 --steps 6 --only ours "the trainer"
data_speed.py --rounds 1 --gigabytes 0.1 1 5 --lines
data_speed.py --rounds 1 --gigabytes 0.1 1
"""
QUICK = """
tuning_speed.py --rounds 1 --steps 5
encoding_speed.py --rounds 1 --strings 1000
data_speed.py --rounds 1 --gigabytes 0.01 0.03
busy_machine.py --rounds 1 --steps 4 --only ours
"""
TEXTS = ("tuning_speed.py", "encoding_speed.py", "busy_machine.py")


def commands(quick: bool) -> list[list[str]]:
    """Each benchmark's script and its arguments."""
    return [shlex.split(line) for line in (QUICK if quick else WHOLE).strip().splitlines()]


def run(script: str, arguments: list[str]) -> Findings:
    """One script's findings; its progress goes to standard error."""
    command = [sys.executable, str(BENCH / script), *arguments, "--json"]
    print(" ".join([f"bench/{script}", *arguments]), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    if done.returncode:
        raise SystemExit(f"bench/{script} failed; what it said stands above")
    return from_content(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Prints the table, and writes it after each benchmark if a file is named."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--quick", action="store_true", help="ten minutes instead of an hour")
    made.add_argument("--out", type=Path, help="also write the table to this file")
    made.add_argument("--threads", type=int, help="OMP_NUM_THREADS of all sides")
    made.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    asked = made.parse_args()
    if asked.threads:
        os.environ["OMP_NUM_THREADS"] = str(asked.threads)
    machine, found = hardware(), []
    for script, *arguments in commands(asked.quick):
        if asked.texts and script in TEXTS:
            arguments += ["--texts", str(asked.texts)]
        found.append(run(script, arguments))
        if asked.out:  # as far as it is: what comes next may fail
            asked.out.write_text(markdown(found, machine) + "\n", encoding="utf-8")
    print(markdown(found, machine))


if __name__ == "__main__":
    main()
