"""`mirror paper`: the paper's tables, with our values beside the published ones."""

from __future__ import annotations

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option

SEEDS = "42,33,44"


@click.command(cls=Command)
@click.option("--tables", default="", metavar="T1,T3", help="These only; else all.")
@click.option("--seeds", default=SEEDS, show_default=True, help="Tune each encoder once for each.")
@click.option("--quick", is_flag=True, help="The first seed only.")
@click.option(
    "--base", "bases", multiple=True, metavar="HUB_ID=PATH", help="A base of the paper's; repeat."
)
@click.option("--bases", "folder", metavar="DIR", help="Holds bases, named by their hub ids.")
@click.option("--download", is_flag=True, help="Fetch from the hub the bases that are missing.")
@click.option(
    "--stand-in",
    "stand_ins",
    multiple=True,
    metavar="[LANG=]PATH",
    help="Another base, for the rows of its language; else models/mirror-mini-en for English.",
)
@click.option("--no-stand-in", is_flag=True, help="The paper's own bases only.")
@click.option("--out", "place", metavar="FILE.md", help="Write the Markdown here too.")
@workspace_option
def paper(
    tables: str,
    seeds: str,
    quick: bool,
    bases: tuple[str, ...],
    folder: str | None,
    download: bool,
    stand_ins: tuple[str, ...],
    no_stand_in: bool,
    place: str | None,
) -> None:
    """Fills the paper's tables with what this machine can measure.

    A cell whose base, strings or benchmark is not at hand stays empty, and says why.  A stand-in
    runs the same settings on another base: it is never compared with the paper's values, only
    with the orderings that the paper reads from them.  What was made once is reused.
    """
    from flows.cli.paper_tables import PaperOptions, paper_shown

    asked = PaperOptions(
        tables=tuple(name.strip() for name in tables.split(",") if name.strip()),
        seeds=_seeds(seeds)[: 1 if quick else None],
        bases=bases,
        folder=folder,
        download=download,
        stand_ins=None if no_stand_in else stand_ins,
        place=place,
    )
    paper_shown(asked, stdout_console(), stderr_console())


def _seeds(text: str) -> tuple[int, ...]:
    try:
        seeds = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise click.UsageError(f"--seeds {text}: give whole numbers, with commas") from error
    if any(seed < 0 for seed in seeds):
        raise click.UsageError(f"--seeds {text}: none may be below 0")
    return seeds
