"""`mirror history`: a registered model's versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option
from mirror.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from mirror.release.history import VersionSummary

UNPRINTABLE = "\N{REPLACEMENT CHARACTER}"


@click.command(cls=Command, short_help="Lists a model's versions, and what became of each.")
@click.argument("name")
@click.option("--out", "place", metavar="FILE.html", help="Write a page too, which needs nothing.")
@workspace_option
def history(name: str, place: str | None) -> None:
    """Lists the versions of the model NAME: scores, and what became of each, by whom and why."""
    page = page_place(place)
    from mirror.paths import open_workspace
    from mirror.release.history import render_history

    open_workspace(for_registry=True)
    from tasks.registry.history import read_history

    lines = read_history(name)
    stdout_console().print(history_table(name, lines))
    if page:
        write_page(page, render_history(name, lines))
        stderr_console().print(str(page), markup=False, highlight=False, soft_wrap=True)


def history_table(name: str, lines: Sequence[VersionSummary]) -> Table:
    """The versions, oldest first."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from mirror.release.history import short_digest, short_time

    table = Table(title=Text(name, "bold"), title_justify="left", box=SIMPLE_HEAD)
    for column in ("version", "registered", "recipe", "corpus", "scores", "verdict", "outcome"):
        table.add_column(column, overflow="fold", vertical="top")
    for line in lines:
        number = Text(line.number, "bold" if line.aliases else "")
        for alias in line.aliases:
            number.append(f"\n{_plain(alias)}", "green" if alias == "champion" else "yellow")
        table.add_row(
            number,
            short_time(line.at),
            Text(_plain(line.recipe)),
            Text(_plain(short_digest(line.corpus)), "dim"),
            Text("\n".join(_scores(line)) or "–"),
            Text(_plain(line.verdict or "–")),
            Text("\n".join(map(_plain, line.told))),
        )
    return table


def page_place(place: str | None) -> Path | None:
    """The file of `--out`, if a page can be written there.

    Raises:
        InputError: it is no .html, or has no folder.
    """
    if place is None:
        return None
    path = Path(place)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {place}: a page is written, so give a name that ends in .html")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--out {place}: no folder {path.absolute().parent}: make it first")
    return path


def write_page(path: Path, page: str) -> None:
    """Writes it whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_text(page, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror}: name another file") from error


def _scores(line: VersionSummary) -> list[str]:
    from mirror.formatting import score

    return [
        f"{_plain(name)} {' → '.join('–' if side is None else score(side) for side in both)}"
        for name, both in line.scores.items()
    ]


def _plain(text: str) -> str:
    """What a registry holds can be anything, terminal codes included."""
    return "".join(mark if mark.isprintable() else UNPRINTABLE for mark in text)
