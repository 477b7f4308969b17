"""`mirror compare`: whether an index of one encoder's vectors still serves another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option
from mirror.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from mirror.release.index_compatibility import Compatibility, SearchQuality

POOLINGS = click.Choice(["cls", "mean", "mean-with-padding", "first-last", "last"])


@click.command(cls=Command, short_help="Says whether an index of OLD's vectors serves NEW.")
@click.argument("old")
@click.argument("new")
@click.option("--texts", metavar="FILE", help="Lines to compare on; else the newest run's sample.")
@click.option("--recipe", help="The sample of this recipe's newest run.")
@click.option("--pooling", type=POOLINGS, help="For a plain model, which says nothing of it.")
@click.option("--max-tokens", type=click.IntRange(min=3), help="Cut texts; else as NEW says.")
@click.option("--save-map", metavar="FILE", help="The map, to a .safetensors or .npz file.")
@click.option("--out", "place", metavar="FILE.html", help="Write a page too, which needs nothing.")
@workspace_option
def compare(
    old: str, new: str, texts: str | None, recipe: str | None, place: str | None, **options: Any
) -> None:
    """Says whether an index made with OLD can be kept for NEW, or rotated, or must be made again.

    OLD and NEW are folders or registered models such as models:/NAME/3.  A map that brings old
    vectors into the new space is found on half of the texts, and judged on the other half.
    """
    if texts and recipe:
        raise click.UsageError("give --texts or --recipe, not both")
    from flows.cli.html_page import check_page_path, write_page
    from mirror.evaluation.procrustes import check_map_path, save_map

    page, save_to = check_page_path(place), options["save_map"]
    if save_to:
        check_map_path(Path(save_to))
    _check_two(old, new, otherwise=bool(options["pooling"] or options["max_tokens"]))
    strings = _texts(texts, recipe)
    from flows.cli.encoders import load_encoder, load_rival
    from flows.cli.progress import live_progress
    from mirror.release.index_compatibility_stage import compare_on_texts

    after = load_encoder(new, options["pooling"], options["max_tokens"])
    before = load_rival(old, after.settings, options["pooling"])
    with live_progress(stderr_console()) as on_progress:
        found, space_map = compare_on_texts(before, after, strings, on_progress)
    _show(old, new, found)
    if save_to:
        save_map(space_map, Path(save_to))
        stderr_console().print(save_to, markup=False, highlight=False, soft_wrap=True)
    if page:
        from mirror.release.index_compatibility import render_compatibility

        write_page(page, render_compatibility(old, new, found))
        stderr_console().print(str(page), markup=False, highlight=False, soft_wrap=True)


def _check_two(old: str, new: str, *, otherwise: bool) -> None:
    """Checks that both are there and are not one, whatever they are called.

    Args:
        old: an encoder.
        new: likewise.
        otherwise: NEW pools or cuts as this command says, and a saved OLD as it says itself.

    Raises:
        BaseModelError: one is not there.
        InputError: they are the same.
        ServiceError: the registry does not answer.
    """
    from flows.cli.encoders import find_encoder_folder
    from mirror.encoders.base_model import check_base
    from mirror.encoders.sentence_transformers_format import read_encoder_settings

    before, after = find_encoder_folder(old), find_encoder_folder(new)
    from mirror.encoders.encoder_ref import folder_encoder_digest

    for folder in (before, after):
        check_base(folder, masks=False)
    differs = otherwise and read_encoder_settings(before) is not None
    if not differs and folder_encoder_digest(before) == folder_encoder_digest(after):
        raise InputError("OLD and NEW are the same encoder: name two")


def _texts(file: str | None, recipe: str | None) -> list[str]:
    if file:
        from mirror.encoders.write_embeddings import read_lines

        return read_lines(Path(file))
    from mirror.evaluation.kinds.space_diagnostics import sampled_texts
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record, find_stage

    return sampled_texts(find_stage(find_record(open_workspace(), recipe), "sample"))


def _show(old: str, new: str, found: Compatibility) -> None:
    from rich.text import Text

    from mirror.release.index_compatibility import NEAREST

    console = stdout_console()
    console.print(_table(f"{old} → {new}", found))
    same = f"{NEAREST} nearest by either encoder alone: {found.neighbours} the same"
    console.print(Text(same), soft_wrap=True)
    colour = {"keep": "green", "rotate": "yellow", "re-embed": "red"}[found.verdict]
    console.print(Text(found.verdict.capitalize(), f"bold {colour}"))
    for reason in found.reasons:
        console.print(Text(f"  {reason}"))


def _table(title: str, found: Compatibility) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from mirror.formatting import score

    table = Table(title=Text(title, "bold"), title_justify="left", box=SIMPLE_HEAD)
    table.add_column("index of old vectors")
    for column in ("found", "interval", "own", "mean cosine"):
        table.add_column(column, justify="right")

    def add(name: str, side: SearchQuality | None) -> None:
        if side is None:
            table.add_row(name, "–", "the dimensions differ", "–", "–")
            return
        interval = f"{score(side.overlap.low)} to {score(side.overlap.high)}"
        overlap, recall = score(side.overlap.mean), score(side.recall.mean)
        table.add_row(name, Text(overlap, "bold"), interval, recall, score(side.cosine))

    add("as it is", found.kept)
    add("rotated", found.rotated)
    return table
