"""`mirror verify`: reproducibility of a recorded run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.console import echo, stderr_console
from flows.cli.options import Command, workspace_option
from mirror.errors import InputError, StoreError

if TYPE_CHECKING:
    from mirror.release.reproduce import StageVerdict

FILES_SHOWN = 3


@click.command(cls=Command, short_help="Repeat a run and compare its bytes.")
@click.argument("run", metavar="RUN")
@click.option(
    "--into", metavar="DIR", help="Workspace for the repeated run; default: a temporary one."
)
@workspace_option
def verify(run: str, into: str | None) -> None:
    """Repeat RUN from its lineage and say which stages give the same bytes.

    RUN is a recipe (its newest run), the file of a run's record, or a registered version such as
    models:/NAME/3.  Nothing is registered.  The exit code is 1 if a stage differs; the reason says
    whether the source, the code or the versions of libraries changed.
    """
    recorded = find_lineage(run)
    from flows.cli.progress import live_progress
    from mirror.pipeline import repeat_run
    from mirror.release.reproduce import compare_lineages
    from mirror.store import Store
    from tasks.registry import fetch_model

    with open_new_workspace(into) as folder, live_progress(stderr_console()) as on_progress:
        store = Store(folder)
        repeated = repeat_run(recorded, store, partial(fetch_model, workspace=folder), on_progress)
    verdicts = compare_lineages(recorded, repeated)
    print_verdicts(verdicts, recorded)
    if not all(verdict.same for verdict in verdicts):
        raise click.exceptions.Exit(1)


def find_lineage(run: str) -> Mapping[str, Any]:
    """Return the lineage of a recipe's newest run, a run's record, or a registered version."""
    from mirror.paths import open_workspace
    from mirror.release.lineage import read_lineage
    from mirror.release.run_record import find_record, find_stage, read_record

    if run.startswith("models:/"):
        from tasks.registry.lineage import fetch_lineage

        return fetch_lineage(run)
    record = read_record(Path(run)) if run.endswith(".json") else find_record(open_workspace(), run)
    if record.unchanged:
        raise StoreError(
            f"the run of {record.recipe} at {record.started_at} found nothing changed and made no "
            f"encoder: name the champion instead, {record.model}"
        )
    return read_lineage(find_stage(record, "package").path)


@contextmanager
def open_new_workspace(into: str | None) -> Iterator[Path]:
    """Yield the workspace in which the run is repeated; a temporary one is removed afterwards."""
    from tasks.environment import workspace_root

    if into is None:
        with tempfile.TemporaryDirectory(prefix="mirror-verify-") as folder:
            yield Path(folder)
        return
    if Path(into).resolve() == workspace_root().resolve():
        raise InputError(
            f"--into {into} is the workspace of the recorded run, whose stages would be reused: "
            "name another folder"
        )
    yield Path(into)


def print_verdicts(verdicts: Sequence[StageVerdict], recorded: Mapping[str, Any]) -> None:
    """Print one line per stage, and a summary."""
    for verdict in verdicts:
        text = "same bytes" if verdict.same else f"DIFFERENT BYTES – {'; '.join(verdict.reasons)}"
        echo(f"{verdict.stage:<9}{text}")
        if verdict.files:
            more = len(verdict.files) - FILES_SHOWN
            listed = ", ".join(verdict.files[:FILES_SHOWN])
            echo(f"{'':<9}in {listed}{f' and {more} more' if more > 0 else ''}")
    first = next((verdict for verdict in verdicts if not verdict.same), None)
    if first is None:
        echo(
            f"all {len(verdicts)} stages have the recorded bytes; encoder "
            f"{recorded['encoder_digest'][:12]}"
        )
    else:
        echo(f"first difference at {first.stage}: {first.reasons[0]}")
