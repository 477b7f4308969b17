"""`mirror gc`: garbage collection of the workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from flows.cli.console import echo
from flows.cli.options import Command, workspace_option

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
    referred = referred_by_runs(root, keep_days) | registry_references()
    removable = find_removable(root, referred, keep_days)
    if dry_run:
        print_folders(removable, root, "would be removed")
        return
    removed = remove(root, removable, keep_days)
    print_folders(removed, root, "removed")
    if left := len(removable) - len(removed):
        echo(f"{left} kept: in use")


def print_folders(folders: Sequence[Removable], root: Path, action: str) -> None:
    """Print one line per folder, and the total size."""
    for folder in folders:
        path = folder.path.relative_to(root)
        echo(f"{folder.kind:<6}{folder.bytes / 1e6:>10,.1f} MB  {path}")
    total = sum(folder.bytes for folder in folders)
    echo(f"{len(folders)} folder(s), {total / 1e6:,.1f} MB {action}")
