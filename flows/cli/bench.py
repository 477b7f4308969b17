"""`mirror bench`: the speed benchmarks of `bench/`, which only a checkout has."""

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
"""Packages of the other libraries' code paths that this project does not need."""


@click.command(cls=Command, short_help="Measure speed in comparison with other libraries.")
@click.option("--quick", is_flag=True, help="Ten minutes instead of an hour.")
@click.option(
    "--threads", type=click.IntRange(min=1), help="Threads of each library; default: all cores."
)
@click.option(
    "--texts",
    metavar="FILE",
    help="Texts, one per line, or Parquet; default: en-python-docs's.",
)
@click.option("--out", metavar="FILE", help="Write the table to this file too, as Markdown.")
def bench(quick: bool, threads: int | None, texts: str | None, out: str | None) -> None:
    """Measure the speed of tuning, encoding and ingestion in comparison with other libraries.

    Needs the packages of the tests (`make test` installs them) and an otherwise idle machine.
    """
    folder = CHECKOUT / "bench"
    if not folder.is_dir():
        raise InputError(
            f"there is no folder {folder}: run the command in a checkout of the project"
        )
    if missing := [name for name in OTHERS if find_spec(name) is None]:
        raise InputError(
            f"the other libraries need {', '.join(missing)}: run `make .venv/installed-dev` or "
            "`pip install -c constraints.txt -e '.[dev]'`"
        )
    if out and not (parent := Path(out).absolute().parent).is_dir():
        raise InputError(f"--out: there is no folder {parent}: create it first")
    arguments = ["--quick"] if quick else []
    if threads:
        arguments += ["--threads", str(threads)]
    for name, file in (("--texts", texts), ("--out", out)):
        if file:
            arguments += [name, str(Path(file).absolute())]
    path = os.pathsep.join(filter(None, [str(CHECKOUT), os.environ.get("PYTHONPATH")]))
    done = subprocess.run(
        [sys.executable, "-m", "bench.speed", *arguments],
        env={**os.environ, "PYTHONPATH": path},
        cwd=CHECKOUT,
    )
    if done.returncode:
        raise InputError("a benchmark failed: see its messages above")
