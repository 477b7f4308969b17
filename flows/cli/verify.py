"""`mirror verify`: a recorded run made again, and held beside what it came to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option
from mirror.errors import InputError, StoreError

if TYPE_CHECKING:
    from mirror.release.reproduce import StageVerdict

FILES_SHOWN = 3


@click.command(cls=Command, short_help="Makes a run again, and says if it gives the same bytes.")
@click.argument("run", metavar="RUN")
@click.option("--into", metavar="DIR", help="Make it here and keep it; else in a temporary folder.")
@workspace_option
def verify(run: str, into: str | None) -> None:
    """Makes RUN again from its lineage and says which stages give the same bytes.

    RUN is a recipe, whose newest run is meant, the file of a run's record, or a registered version
    such as models:/NAME/3.  Nothing is registered.  Fails if a stage differs, with the reason:
    source, code or library versions changed, or none of them.
    """
    recorded = recorded_lineage(run)
    from flows.cli.progress import live_progress
    from mirror.pipeline import repeat_run
    from mirror.release.reproduce import compare_lineages
    from mirror.store import Store
    from tasks.registry import fetch_model

    with fresh_folder(into) as folder, live_progress(stderr_console()) as on_progress:
        store = Store(folder)
        again = repeat_run(recorded, store, partial(fetch_model, workspace=folder), on_progress)
    verdicts = compare_lineages(recorded, again)
    show(verdicts, recorded)
    if not all(verdict.same for verdict in verdicts):
        raise click.exceptions.Exit(1)


def recorded_lineage(run: str) -> Mapping[str, Any]:
    """The lineage of a recipe's newest run, of a run's record, or of a registered version.

    Raises:
        BaseModelError: there is no such version.
        InputError: there is no such workspace.
        StoreError: there is no such run, or what it left is gone.
        ServiceError: the registry does not answer.
    """
    from mirror.paths import open_workspace
    from mirror.release.lineage import read_lineage
    from mirror.release.run_record import find_record, find_stage, read_record

    if run.startswith("models:/"):
        from tasks.registry.lineage import fetch_lineage

        return fetch_lineage(run)
    record = read_record(Path(run)) if run.endswith(".json") else find_record(open_workspace(), run)
    if record.unchanged:
        raise StoreError(
            f"the run of {record.recipe} at {record.started_at} found nothing to do and made no "
            f"encoder: name the version that it found, {record.model}"
        )
    return read_lineage(find_stage(record, "package").path)


@contextmanager
def fresh_folder(into: str | None) -> Iterator[Path]:
    """A workspace where the run is made again; a temporary one is removed.

    Raises:
        InputError: it is the workspace that has the run.
    """
    from tasks.environment import workspace_root

    if into is None:
        with tempfile.TemporaryDirectory(prefix="mirror-verify-") as folder:
            yield Path(folder)
        return
    if Path(into).resolve() == workspace_root().resolve():
        raise InputError(
            f"--into {into} is the workspace that has the run, where every stage would be found "
            "and none made: name another folder"
        )
    yield Path(into)


def show(verdicts: Sequence[StageVerdict], recorded: Mapping[str, Any]) -> None:
    """Prints a line a stage, and then what that comes to."""
    for verdict in verdicts:
        told = "same bytes" if verdict.same else f"OTHER BYTES – {'; '.join(verdict.reasons)}"
        _say(f"{verdict.stage:<9}{told}")
        if verdict.files:
            more = len(verdict.files) - FILES_SHOWN
            listed = ", ".join(verdict.files[:FILES_SHOWN])
            _say(f"{'':<9}in {listed}{f' and {more} more' if more > 0 else ''}")
    first = next((verdict for verdict in verdicts if not verdict.same), None)
    if first is None:
        _say(
            f"all {len(verdicts)} stages give the recorded bytes; encoder "
            f"{recorded['encoder_digest'][:12]}"
        )
    else:
        _say(f"first differs at {first.stage}: {first.reasons[0]}")


def _say(line: str) -> None:
    stdout_console().print(line, markup=False, highlight=False, soft_wrap=True)
