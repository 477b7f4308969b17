"""What tuning loses beside a busy program: ours, and one whose threads share every operation.

    python bench/busy_machine.py --steps 10

Each tunes on a quiet machine and beside programs that keep one core each busy; the table gives
strings per second and what is left of the quiet speed.  Fair would be the cores that are left and
half of the one that is shared: 75% beside one busy program on two cores.  sentence-transformers'
trainer stands for all that leave threads to torch, with each way that OpenMP's threads can wait.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from measuring import Findings, Row, begin, each, parser, ratios, run_side, take_turns, tell
from strings import read_texts

SCRIPT = str(Path(__file__).with_name("tuning_speed.py"))
SETTINGS: dict[str, tuple[str, dict[str, str]]] = {
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
    """Within the block, so many programs compute without end."""
    code = "while True: pass"
    programs = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        time.sleep(0.3)
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def run_beside(count: int, asked: dict[str, Any], setting: str) -> dict[str, Any]:
    """Tuning beside `count` busy programs."""
    side, environment = SETTINGS[setting]
    with busy_programs(count):
        return run_side(SCRIPT, side, asked, environment)


def compare(asked: argparse.Namespace, folder: Path) -> Findings:
    """Every setting, quiet and busy."""
    texts = read_texts(asked.texts, asked.steps * asked.batch_size, asked.workspace)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    common = {
        "base": str(asked.base.absolute()),
        "texts": str(folder / "texts.json"),
        "batch_size": asked.batch_size,
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
    chosen = [name for name in SETTINGS if not asked.only or name in asked.only]
    sides = {
        f"{name} beside {count}": partial(run_beside, count, common, name)
        for name in chosen
        for count in (0, asked.programs)
    }
    results = take_turns(sides, asked.rounds)
    rows = []
    for name in chosen:
        quiet = each(results[f"{name} beside 0"], "strings_per_second")
        busy = each(results[f"{name} beside {asked.programs}"], "strings_per_second")
        kept = [100 * ratio for ratio in ratios(busy, quiet)]
        rows.append(Row(f"{name}: quiet", "strings/s", quiet))
        rows.append(Row(f"{name}: beside busy programs", "strings/s", busy))
        rows.append(Row(f"{name}: kept", "%", kept, 50.0 if name == "ours" else None))
    settings = {"busy programs": asked.programs, "batch": asked.batch_size, "steps": asked.steps}
    return Findings("A busy machine", settings, rows)


def main() -> None:
    """Prints the table, or the JSON of it."""
    made = parser(str(__doc__))
    made.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    made.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    made.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))
    made.add_argument("--steps", type=int, default=8)
    made.add_argument("--batch-size", type=int, default=200)
    made.add_argument("--programs", type=int, default=1, help="busy programs beside")
    made.add_argument("--only", nargs="+", choices=list(SETTINGS), help="settings; else all")
    asked = made.parse_args()
    machine = begin(asked)
    with tempfile.TemporaryDirectory() as folder:
        tell(compare(asked, Path(folder)), machine, asked.json)


if __name__ == "__main__":
    main()
