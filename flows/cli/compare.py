"""`mirror compare`: compatibility of an index of old vectors with a new encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.console import echo, stderr_console, stdout_console
from flows.cli.options import Command, max_tokens_option, pooling_option, workspace_option
from mirror.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from mirror.evaluation.result import TextEncoder
    from mirror.release.index_compatibility import Compatibility, SearchQuality


@click.command(cls=Command, short_help="Say whether an index of old vectors serves a new encoder.")
@click.argument("old")
@click.argument("new")
@click.option(
    "--texts", metavar="FILE", help="Texts, one per line; default: the sample of the newest run."
)
@click.option("--recipe", help="Use the sample of this recipe's newest run.")
@pooling_option
@max_tokens_option
@click.option("--save-map", metavar="FILE", help="Write the map to a .safetensors or .npz file.")
@click.option("--out", metavar="FILE.html", help="Write a self-contained page too.")
@workspace_option
def compare(
    old: str, new: str, texts: str | None, recipe: str | None, out: str | None, **options: Any
) -> None:
    """Say whether an index of OLD's vectors can be kept for NEW, rotated, or must be made again.

    OLD and NEW are folders, registered models such as models:/NAME/3, or .parquet files that
    `mirror encode` wrote (a file, or a glob of files of one encoder), of which the texts that both
    have are compared.  The map that rotates old vectors into the new space is fitted on half of the
    texts and tested on the other half.
    """
    if texts and recipe:
        raise click.UsageError("give --texts or --recipe, not both")
    from flows.cli.html_page import check_page_path, write_page
    from mirror.evaluation.procrustes import MAP_ENDINGS, save_map
    from mirror.paths import check_output

    page, save_to = check_page_path(out), options["save_map"]
    if save_to:
        check_output(Path(save_to), MAP_ENDINGS)
    from flows.cli.progress import live_progress
    from mirror.release.index_compatibility_stage import compare_on_texts

    choose = _stored_vectors if _is_file(old) or _is_file(new) else _encoders
    before, after, sample = choose(old, new, (texts, recipe), options)
    with live_progress(stderr_console()) as on_progress:
        compatibility, space_map = compare_on_texts(before, after, sample, on_progress)
    _print(old, new, compatibility)
    if save_to:
        save_map(space_map, Path(save_to))
        echo(save_to, err=True)
    if page:
        from mirror.release.index_compatibility import render_compatibility

        write_page(page, render_compatibility(old, new, compatibility))
        echo(str(page), err=True)


def _is_file(name: str) -> bool:
    return name.endswith(".parquet")


def _encoders(
    old: str, new: str, origin: tuple[str | None, str | None], options: dict[str, Any]
) -> tuple[TextEncoder, TextEncoder, list[str]]:
    """Return both encoders, and the texts to encode."""
    _check_different(old, new, overridden=bool(options["pooling"] or options["max_tokens"]))
    sample = _read_texts(*origin)
    from flows.cli.encoders import load_encoder, load_encoder_like

    after = load_encoder(new, options["pooling"], options["max_tokens"])
    return load_encoder_like(after.settings, old, options["pooling"]), after, sample


def _stored_vectors(
    old: str, new: str, origin: tuple[str | None, str | None], options: dict[str, Any]
) -> tuple[TextEncoder, TextEncoder, list[str]]:
    """Return an encoder or stored vectors for OLD and NEW, and what both can encode."""
    from flows.cli.encoders import embeddings_origin, load_encoder, pin_encoder
    from mirror.encoders.embeddings_file import StoredEncoder, read_embeddings, text_digest

    files = {name: read_embeddings(*_paths(name)) for name in (old, new) if _is_file(name)}
    known = set.intersection(*(set(file.digests) for file in files.values()))
    # Two files share digests, which stand for their texts.
    has_texts = not (_is_file(old) and _is_file(new)) or any(origin)
    key = text_digest if has_texts else str
    digests: list[str] = []
    encoders: list[TextEncoder] = []
    for name in map(pin_encoder, (old, new)):
        if name in files:
            digests.append(files[name].origin.encoder_digest)
            encoders.append(StoredEncoder(files[name], key))
        else:
            loaded = load_encoder(name, options["pooling"], options["max_tokens"])
            digests.append(embeddings_origin(name, loaded, "float32").encoder_digest)
            encoders.append(loaded)
    if digests[0] == digests[1]:
        raise InputError("OLD and NEW are the same encoder: name two different ones")
    names = _read_texts(*origin) if has_texts else files[old].digests
    shared = [name for name in names if key(name) in known]
    if not shared:
        raise InputError(f"no text has a vector in {' and in '.join(files)}: encode equal texts")
    return encoders[0], encoders[1], shared


def _paths(name: str) -> list[Path]:
    path = Path(name)
    return sorted(path.parent.glob(path.name)) or [path]


def _check_different(old: str, new: str, *, overridden: bool) -> None:
    """Check that both encoders exist and that their contents differ.

    Args:
        old: a folder or a `models:/` URI.
        new: likewise.
        overridden: pooling or length of NEW is an option; a saved OLD keeps its own settings.
    """
    from flows.cli.encoders import find_encoder_folder
    from mirror.encoders.base_model import check_base
    from mirror.encoders.sentence_transformers_reader import read_encoder_settings

    before, after = find_encoder_folder(old), find_encoder_folder(new)
    from mirror.encoders.encoder_ref import folder_encoder_digest

    for folder in (before, after):
        check_base(folder, masks=False)
    differs = overridden and read_encoder_settings(before) is not None
    if not differs and folder_encoder_digest(before) == folder_encoder_digest(after):
        raise InputError("OLD and NEW are the same encoder: name two different ones")


def _read_texts(file: str | None, recipe: str | None) -> list[str]:
    if file:
        from mirror.corpus.text_rows import read_utf8_lines

        return read_utf8_lines(Path(file))
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record, find_stage
    from mirror.stage_files import sampled_texts

    return sampled_texts(find_stage(find_record(open_workspace(), recipe), "sample"))


def _print(old: str, new: str, compatibility: Compatibility) -> None:
    from rich.text import Text

    from mirror.release.index_compatibility import NEAREST

    console = stdout_console()
    console.print(_table(f"{old} → {new}", compatibility))
    overlap = f"{compatibility.neighbours} of the {NEAREST} nearest are the same in both encoders"
    console.print(Text(overlap), soft_wrap=True)
    colour = {"keep": "green", "rotate": "yellow", "re-embed": "red"}[compatibility.verdict]
    console.print(Text(compatibility.verdict.capitalize(), f"bold {colour}"))
    for reason in compatibility.reasons:
        console.print(Text(f"  {reason}"))


def _table(title: str, compatibility: Compatibility) -> Table:
    from rich.text import Text

    from flows.cli.tables import plain_table
    from mirror.formatting import score

    numbers = ("overlap", "interval", "recall", "mean cosine")
    table = plain_table(title, ("index of old vectors",), numbers)

    def add_row(name: str, quality: SearchQuality | None) -> None:
        if quality is None:
            table.add_row(name, "–", "different dimensions", "–", "–")
            return
        interval = f"{score(quality.overlap.low)} to {score(quality.overlap.high)}"
        overlap, recall = score(quality.overlap.mean), score(quality.recall.mean)
        table.add_row(name, Text(overlap, "bold"), interval, recall, score(quality.cosine))

    add_row("unchanged", compatibility.kept)
    add_row("rotated", compatibility.rotated)
    return table
