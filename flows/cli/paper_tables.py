"""The paper's tables on the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from flows.cli.running import progress_shown
from tasks.environment import workspace_root

if TYPE_CHECKING:
    from mirror.experiments.bases import BasePlaces
    from mirror.experiments.paper_report import Report, ShownCell, ShownTable

STYLES = {
    "reproduced": "green",
    "better": "bold green",
    "worse": "red",
    "holds": "green",
    "does not hold": "red",
    "unclear": "yellow",
    "not run": "dim",
}
LINES = {"paper": "dim", "ours": "", "stand-in": "cyan"}


@dataclass(frozen=True)
class PaperOptions:
    """What was given on the command line."""

    tables: tuple[str, ...]
    """Nothing means all."""
    seeds: tuple[int, ...]
    bases: tuple[str, ...]
    folder: str | None
    download: bool
    stand_ins: tuple[str, ...] | None
    """Nothing given means the shipped base; None means that nothing stands in."""
    place: str | None
    """A file for the Markdown, beside the workspace's."""

    @property
    def command(self) -> str:
        """What makes the report again, without this machine's folders."""
        parts = ["mirror paper"]
        if self.tables:
            parts.append(f"--tables {','.join(self.tables)}")
        parts.append(f"--seeds {','.join(map(str, self.seeds))}")
        parts.extend(f"--base {pair.partition('=')[0]}=PATH" for pair in self.bases)
        parts.extend(["--bases DIR"] if self.folder else [])
        parts.extend(["--download"] if self.download else [])
        if self.stand_ins is None:
            parts.append("--no-stand-in")
        for text in self.stand_ins or ():
            language, separator, path = text.rpartition("=")
            parts.append(f"--stand-in {language}{separator}{Path(path).name}")
        return " ".join(parts)


def paper_shown(asked: PaperOptions, out: Console, err: Console) -> None:
    """Fills the tables, prints them and writes them down."""
    from mirror.experiments.paper_report import write_report
    from mirror.experiments.published import read_tables

    read_tables(asked.tables)  # a fault shows at once, not after Prefect's seconds
    places = base_places(asked)
    with progress_shown(err):
        from flows.run_paper import start_paper

        report = start_paper(asked.tables, asked.seeds, places, asked.command)
    page = write_report(report, workspace_root(), Path(asked.place) if asked.place else None)
    show_report(report, out)
    out.print(Text(str(page)), soft_wrap=True)


def base_places(asked: PaperOptions) -> BasePlaces:
    """Where bases are looked for.

    Raises:
        PaperError: something that was given is not there.
    """
    from mirror.errors import PaperError
    from mirror.experiments.bases import DEFAULT_STAND_IN, BasePlaces, read_named, read_stand_ins
    from mirror.experiments.paper_plan import hub_ids

    folder = Path(asked.folder).absolute() if asked.folder else None
    if folder is not None and not folder.is_dir():
        raise PaperError(f"--bases {asked.folder}: there is no such folder: correct the path")
    stand_ins = {}
    if asked.stand_ins is not None:
        stand_ins = read_stand_ins(asked.stand_ins, DEFAULT_STAND_IN)
    named = read_named(asked.bases, hub_ids())
    return BasePlaces(named, folder, asked.download, stand_ins)


def show_report(report: Report, out: Console) -> None:
    """Prints every table, and how many cells came to what."""
    from mirror.experiments.paper_report import claim_counts, show_table, verdict_counts

    for filled in report.tables:
        _show_table(show_table(filled), out)
    counts = {"cells": verdict_counts(report)}
    counts["orderings, on the paper's bases"] = claim_counts(report, "ours")
    counts["orderings, on the stand-in"] = claim_counts(report, "stand_in")
    for name, found in counts.items():
        told = ", ".join(f"{count} {verdict}" for verdict, count in found.items())
        out.print(Text.assemble((f"{name}: ", "dim"), told))


def _show_table(table: ShownTable, out: Console) -> None:
    also = f" ({', '.join(table.also)})" if table.also else ""
    grid = Table(
        title=Text(f"{table.id}{also}: {table.title}", "bold"),
        title_justify="left",
        header_style="dim",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    grid.add_column("", overflow="fold", min_width=12)
    grid.add_column("")
    for column in table.columns:
        grid.add_column(Text(column), justify="right", overflow="fold")
    for row in table.rows:
        for number, line in enumerate(row.lines):
            style = LINES[line.name]
            label = Text(row.label if number == 0 else "")
            cells = (_cell(cell, style) for cell in line.cells)
            last = number == len(row.lines) - 1
            grid.add_row(label, Text(line.name, style), *cells, end_section=last)
    out.print(grid)
    for number, note in enumerate(table.notes, 1):
        out.print(Padding(Text(f"[{number}] {note}", "dim"), (0, 0, 0, 2)))
    for text, ours, stand_in in table.claims:
        told = [(text, ""), ("\n  on the paper's base: ", "dim"), (ours, STYLES[ours])]
        told += [("; on the stand-in: ", "dim"), (stand_in, STYLES[stand_in])]
        out.print(Padding(Text.assemble(*told), (0, 0, 0, 2)))
    out.print()


def _cell(cell: ShownCell, style: str) -> Text:
    note = f" [{cell.note}]" if cell.note else ""
    text = Text(cell.text.removesuffix(note), STYLES.get(cell.kind, style))
    return text.append(note, "dim")
