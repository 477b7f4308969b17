"""`mirror encode`: embeddings of texts, for those who store them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.console import echo, stderr_console
from flows.cli.options import (
    PRECISIONS,
    Command,
    max_tokens_option,
    pooling_option,
    workspace_option,
)

if TYPE_CHECKING:
    from mirror.documents import TextRow
    from mirror.encoders.embeddings_file import EmbeddingsOrigin
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.write_embeddings import EncodedCounts


@click.command(cls=Command, short_help="Write the embeddings of texts.")
@click.argument("encoder")
@click.argument("sources", metavar="[FILE]...", nargs=-1)
@click.option("--out", required=True, metavar="FILE", help="A .parquet or .npy file.")
@click.option("--precision", type=click.Choice(PRECISIONS), default="float32", show_default=True)
@click.option("--recipe", help="Encode the documents of this recipe's [corpus].")
@click.option("--format", metavar="NAME", default="auto", help="Format; default: by the ending.")
@click.option("--encoding", metavar="NAME", default="utf-8", help="Of text; default: utf-8.")
@click.option("--text-column", metavar="NAME", default="text", help="Default: text.")
@click.option("--title-column", metavar="NAME", help="Its cell is the first line of the text.")
@click.option("--id-column", metavar="NAME", help="Default: file and number of line or document.")
@click.option("--keep-text", is_flag=True, help="Write the texts too, in the column `text`.")
@pooling_option
@max_tokens_option
@workspace_option
def encode(
    encoder: str,
    sources: tuple[str, ...],
    out: str,
    recipe: str | None,
    pooling: str | None,
    max_tokens: int | None,
    **options: Any,
) -> None:
    """Write the embeddings of texts in FILE..., or of the lines of standard input.

    ENCODER is a folder or a registered model such as models:/NAME@champion.  FILE is a file, a
    folder, a glob or a URI, of any format that recipes read.  Repeat a command that was stopped to
    continue it.
    """
    if recipe and sources:
        raise click.UsageError("give FILE or --recipe, not both")
    from flows.cli.encoders import (
        embeddings_origin,
        find_encoder_folder,
        load_encoder,
        pin_encoder,
    )
    from mirror.encoders.write_embeddings import check_embeddings_path

    path, precision = Path(out), options["precision"]
    check_embeddings_path(path, precision)
    with _errors_in_options():
        rows = _recipe_rows(recipe) if recipe else _rows(sources, options)
    encoder = pin_encoder(encoder)
    loaded = load_encoder(encoder, pooling, max_tokens)
    origin = embeddings_origin(encoder, loaded, precision)
    counts = _write(loaded, find_encoder_folder(encoder), rows, path, origin, options["keep_text"])
    echo(f"{out}: {counts.texts:,} embeddings of {origin.dimension} dimensions", err=True)
    for line in _remarks(counts, loaded.settings.max_tokens):
        echo(line, err=True)


def _write(
    encoder: Encoder,
    folder: Path,
    rows: Iterator[TextRow],
    path: Path,
    origin: EmbeddingsOrigin,
    keep_text: bool,
) -> EncodedCounts:
    from flows.cli.progress import live_progress
    from mirror.encoders.cluster_encoder import part_encoder
    from mirror.encoders.truncation import LongTextEncoder
    from mirror.encoders.write_embeddings import write_embeddings

    reading = LongTextEncoder(encoder)

    with (
        part_encoder(encoder, folder) as encode_parts,
        live_progress(stderr_console()) as on_progress,
        _errors_in_options(),
    ):
        return write_embeddings(
            reading,
            rows,
            path,
            origin,
            on_progress,
            keep_text=keep_text,
            count_truncated=reading.count_truncated,
            encode_parts=encode_parts,
        )


def _rows(sources: tuple[str, ...], options: dict[str, Any]) -> Iterator[TextRow]:
    from mirror.corpus.sources.files import FileFormatSection
    from mirror.corpus.text_rows import file_rows, find_text_files, stream_rows

    if sources in ((), ("-",)):
        return stream_rows(sys.stdin.buffer, options["encoding"])
    names = ("format", "encoding", "text_column", "title_column")
    settings = {name: options[name] for name in names}
    section = FileFormatSection(source="files", source_column=options["id_column"], **settings)
    # Recipes look in the checkout first.
    paths = [path if "://" in path else str(Path(path).absolute()) for path in sources]
    return file_rows(find_text_files(paths, section), section)


def _recipe_rows(name: str) -> Iterator[TextRow]:
    from mirror.corpus.text_rows import recipe_rows
    from mirror.recipe import find_recipe

    return recipe_rows(find_recipe(name))


@contextmanager
def _errors_in_options() -> Iterator[None]:
    """Context manager: errors about a corpus name options in place of a recipe's keys."""
    from mirror.errors import CorpusError

    try:
        yield
    except CorpusError as error:
        raise CorpusError(in_options(str(error))) from error


def in_options(message: str) -> str:
    """Return a message about a recipe's `[corpus]` in words of this command's options."""
    message = re.sub(r" \(corpus\.paths\)| in \[corpus\]", "", message)
    message = message.replace("corpus.paths", "the arguments")
    message = message.replace("source_column", "id_column")
    return re.sub(
        r"(?:corpus\.)?\b(text|id|title)_column\b|corpus\.(format|encoding)\b",
        lambda match: f"--{match[2] or match[1] + '-column'}",
        message,
    )


def _remarks(counts: EncodedCounts, max_tokens: int) -> Iterator[str]:
    if counts.reused:
        yield f"{counts.reused:,} of them were encoded before this command was repeated"
    for fault, count in counts.left_out.items():
        yield f"{count:,} rows were left out: {fault}"
    if counts.broken:
        yield f"{counts.broken:,} texts have broken characters: give --encoding if it is not utf-8"
    if counts.truncated:
        yield (
            f"{counts.truncated:,} of {counts.texts:,} texts were truncated at {max_tokens} "
            "tokens: split them, or raise --max-tokens if the model takes more"
        )
