"""`mirror bench`: the speed benchmarks of `bench/`, which are part of the checkout only."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from flows.cli.options import Command
from mirror.errors import InputError
from mirror.paths import CHECKOUT

OTHERS = ("accelerate", "pytorch_metric_learning")
"""What the method as published and sentence-transformers' trainer need, and we do not."""


@click.command(cls=Command, short_help="Measures tuning, encoding and ingestion beside others.")
@click.option("--quick", is_flag=True, help="Ten minutes instead of an hour.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of every side; else all cores."
)
@click.option("--texts", metavar="FILE", help="Lines, or Parquet; else the main job's strings.")
@click.option("--out", "place", metavar="FILE", help="Write the table there too, as Markdown.")
def bench(quick: bool, threads: int | None, texts: str | None, place: str | None) -> None:
    """Measures tuning, encoding and ingestion beside what others use; prints one table.

    It needs what the tests need (`make test` sets it up), and a machine with nothing else to do.
    """
    script = CHECKOUT / "bench" / "speed.py"
    if not script.is_file():
        raise InputError(f"no {script}: run it in a checkout of the project")
    if missing := [name for name in OTHERS if find_spec(name) is None]:
        raise InputError(
            f"the other sides need {', '.join(missing)}: make .venv/installed-dev, or "
            "pip install -c constraints.txt -e '.[dev]'"
        )
    if place and not (folder := Path(place).absolute().parent).is_dir():
        raise InputError(f"--out: no folder {folder}: make it first")
    named = {"--threads": threads and str(threads), "--texts": texts, "--out": place}
    arguments = ["--quick"] if quick else []
    for name, value in named.items():
        if value:
            given = value if name == "--threads" else str(Path(value).absolute())
            arguments += [name, given]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env={**os.environ, "PYTHONPATH": path}
    )
    if done.returncode:
        raise InputError("a benchmark could not be run: see above what it said")
