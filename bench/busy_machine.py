"""Speed of tuning on a busy machine, ours and that of sentence-transformers' trainer.

    python -m bench.busy_machine --steps 10

Each side tunes on a quiet machine, and while other programs keep one core each busy. The table has
strings per second and the share of the quiet speed that is left. A fair share is that of the free
cores and half of each shared one: 75 % with one busy program on two cores. The trainer leaves
threads to torch, so it runs with each way in which OpenMP's threads can wait.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bench.measuring import (
    Findings,
    Row,
    Settings,
    add_base_and_texts,
    begin,
    each,
    make_parser,
    print_findings,
    ratios,
    run_side,
    take_turns,
)
from bench.strings import read_texts, write_texts

SCRIPT = str(Path(__file__).with_name("tuning_speed.py"))
SIDES: dict[str, tuple[str, dict[str, str]]] = {
    "ours": ("ours", {}),
    "ours, one thread": ("ours", {"OMP_NUM_THREADS": "1"}),
    "the trainer": ("trainer", {}),
    "the trainer, one thread": ("trainer", {"OMP_NUM_THREADS": "1"}),
    "the trainer, threads sleep at once": ("trainer", {"OMP_WAIT_POLICY": "PASSIVE"}),
    "the trainer, threads spin for long": ("trainer", {"OMP_WAIT_POLICY": "ACTIVE"}),
    "the trainer, threads spin a thousand turns": ("trainer", {"GOMP_SPINCOUNT": "1000"}),
}


@contextmanager
def busy_programs(count: int) -> Iterator[None]:
    """Within the block, run so many programs that each keep a core busy."""
    code = "while True: pass"
    programs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def run_beside(count: int, settings: Settings, name: str) -> dict[str, Any]:
    """Run a side while `count` busy programs run."""
    side, environment = SIDES[name]
    with busy_programs(count):
        return run_side(SCRIPT, side, settings, environment)


def compare(arguments: argparse.Namespace, folder: Path) -> Findings:
    """Run every side on a quiet and on a busy machine."""
    count = arguments.steps * arguments.batch_size
    texts = read_texts(arguments.texts, count, arguments.workspace)
    common = {
        "base": str(arguments.base.absolute()),
        "texts": write_texts(texts, folder),
        "batch_size": arguments.batch_size,
        "learning_rate": 2e-5,
        "temperature": 0.04,
        "max_tokens": 50,
        "mask_length": 5,
        "weight_decay": 0.01,
        "pooling": "cls",
        "seed": 42,
        "dropout": 0.1,
        "precision": "auto",
        "extra": {},
        "device": "cpu",
    }
    chosen = [name for name in SIDES if not arguments.only or name in arguments.only]
    sides = {
        f"{name} beside {count}": partial(run_beside, count, common, name)
        for name in chosen
        for count in (0, arguments.programs)
    }
    results = take_turns(sides, arguments.rounds)
    rows = []
    for name in chosen:
        quiet = each(results[f"{name} beside 0"], "strings_per_second")
        busy = each(results[f"{name} beside {arguments.programs}"], "strings_per_second")
        shares = [100 * ratio for ratio in ratios(busy, quiet)]
        rows.append(Row(f"{name}: quiet", "strings/s", quiet))
        rows.append(Row(f"{name}: on a busy machine", "strings/s", busy))
        rows.append(Row(f"{name}: share left", "%", shares, 50.0 if name == "ours" else None))
    settings = {
        "busy programs": arguments.programs,
        "batch": arguments.batch_size,
        "steps": arguments.steps,
    }
    return Findings("A busy machine", settings, rows)


def main() -> None:
    """Print the findings as a table or as JSON."""
    parser = make_parser(str(__doc__))
    add_base_and_texts(parser, random_weights=False)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=200)
    parser.add_argument("--programs", type=int, default=1, help="busy programs")
    parser.add_argument("--only", nargs="+", choices=list(SIDES), help="sides; else all")
    arguments = parser.parse_args()
    machine = begin(arguments)
    with tempfile.TemporaryDirectory() as folder:
        print_findings(compare(arguments, Path(folder)), machine, arguments.json)


if __name__ == "__main__":
    main()
