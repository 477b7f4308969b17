"""All speed benchmarks, one after the other, as one Markdown table: what `mirror bench` runs.

python bench/speed.py --quick
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from measuring import CHECKOUT, Findings, from_content, markdown

BENCH = CHECKOUT / "bench"
WHOLE: tuple[tuple[str, ...], ...] = (
    ("tuning_speed.py", "--rounds", "5", "--steps", "20"),
    ("tuning_speed.py", "--rounds", "3", "--steps", "3", "--layers", "12", "--width", "768"),
    ("encoding_speed.py", "--rounds", "5", "--strings", "5000"),
    ("data_speed.py", "--rounds", "1", "--gigabytes", "0.02", "0.05", "0.1"),
    ("busy_machine.py", "--rounds", "3"),
)
QUICK: tuple[tuple[str, ...], ...] = (
    ("tuning_speed.py", "--rounds", "1", "--steps", "5"),
    ("encoding_speed.py", "--rounds", "1", "--strings", "1000"),
    ("data_speed.py", "--rounds", "1", "--gigabytes", "0.01", "0.03"),
    ("busy_machine.py", "--rounds", "1", "--steps", "4", "--only", "ours"),
)
TEXTS = ("tuning_speed.py", "encoding_speed.py", "busy_machine.py")


def run(script: str, arguments: list[str]) -> Findings:
    """One script's findings; its progress goes to standard error."""
    command = [sys.executable, str(BENCH / script), *arguments, "--json"]
    print(" ".join([f"bench/{script}", *arguments]), file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    if done.returncode:
        raise SystemExit(f"bench/{script} failed; what it said stands above")
    return from_content(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Prints the table, and writes it if a file is named."""
    made = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    made.add_argument("--quick", action="store_true", help="minutes instead of hours, one round")
    made.add_argument("--out", type=Path, help="also write the table to this file")
    made.add_argument("--threads", type=int, help="OMP_NUM_THREADS of all sides")
    made.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    asked = made.parse_args()
    found = []
    for script, *arguments in QUICK if asked.quick else WHOLE:
        if asked.threads:
            arguments += ["--threads", str(asked.threads)]
        if asked.texts and script in TEXTS:
            arguments += ["--texts", str(asked.texts)]
        found.append(run(script, arguments))
    table = markdown(found)
    print(table)
    if asked.out:
        asked.out.write_text(table + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
