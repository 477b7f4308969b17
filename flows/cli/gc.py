"""`mirror gc`: garbage collection of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flows.cli.options import Command, stdout_console, workspace_option

if TYPE_CHECKING:
    from pathlib import Path

    from mirror.maintenance.garbage_collection import Removable

DAYS = 30


@click.command(cls=Command, short_help="Remove unreferenced, unused folders from the workspace.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option(
    "--keep-days",
    type=click.IntRange(min=1),
    default=DAYS,
    show_default=True,
    help="Keep what runs of the last days refer to, and what was used in these days.",
)
@workspace_option
def gc(dry_run: bool, keep_days: int) -> None:
    """Remove folders from the workspace that nothing refers to and that were not used for days.

    These stages stay: those of recent runs, of each recipe's newest run, of the versions that have
    an alias in the registry, and of pretraining.  Folders that are locked stay too.
    """
    from mirror.maintenance.garbage_collection import find_removable, referred_by_runs, remove
    from mirror.paths import open_workspace
    from mirror.store import Store

    root = open_workspace()
    from tasks.registry.lineage import registry_references

    if not dry_run:
        Store(root)  # a dry run works in a read-only workspace
    kept = referred_by_runs(root, keep_days) | registry_references()
    found = find_removable(root, kept, keep_days)
    if dry_run:
        show(found, root, "would be removed")
        return
    gone = remove(root, found, keep_days)
    show(gone, root, "removed")
    if left := len(found) - len(gone):
        _say(f"{left} kept: in use")


def show(found: Sequence[Removable], root: Path, what: str) -> None:
    """Print one line per folder, and the total size."""
    for removable in found:
        path = removable.path.relative_to(root)
        _say(f"{removable.kind:<6}{removable.bytes / 1e6:>10,.1f} MB  {path}")
    total = sum(removable.bytes for removable in found)
    _say(f"{len(found)} folder(s), {total / 1e6:,.1f} MB {what}")


def _say(line: str) -> None:
    stdout_console().print(line, markup=False, highlight=False, soft_wrap=True)
