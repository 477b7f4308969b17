"""`mirror export`: an encoder in the forms that others read."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.options import Command, stderr_console, workspace_option

FORMS = ("sentence-transformers", "onnx", "static")
MOST = 50_000


@click.command(cls=Command, short_help="Writes an encoder in a form that others read.")
@click.argument("encoder")
@click.option("--to", "form", required=True, type=click.Choice(FORMS))
@click.option("--out", "place", required=True, metavar="PLACE", help="A folder that is not there.")
@click.option("--words", metavar="FILE", help="static: the words, one a line.")
@click.option("--recipe", help="static: the words of the corpus of this recipe's newest run.")
@click.option("--most", type=click.IntRange(min=1), help=f"static: that many; else {MOST:,}.")
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "first-last", "last"]),
    help="For a plain model, which says nothing of it.  No mean-with-padding: readers of these "
    "formats cannot pool over padding.",
)
@click.option("--max-tokens", type=click.IntRange(min=3), help="Cut texts; else as ENCODER says.")
@workspace_option
def export(
    encoder: str,
    form: str,
    place: str,
    words: str | None,
    recipe: str | None,
    most: int | None,
    pooling: str | None,
    max_tokens: int | None,
) -> None:
    """Writes ENCODER, a folder or a registered model such as models:/NAME@champion, into PLACE.

    sentence-transformers: its folder.  onnx: one graph with pooling, and the tokenizer, checked to
    give the same vectors; needs the extra `onnx`.  static: a table of word vectors, each word
    encoded by itself, for gensim and others.  PLACE is written whole or not at all.
    """
    from mirror.atomic_folder import check_new_folder

    check_options(form, words, recipe, most)
    check_new_folder(Path(place))
    match form:
        case "onnx":
            said = onnx_written(encoder, pooling, max_tokens, Path(place))
        case "static":
            listed = words_to_encode(words, recipe, most or MOST)
            said = table_written(encoder, pooling, max_tokens, listed, Path(place))
        case _:
            said = write_folder(encoder, pooling, max_tokens, Path(place))
    stderr_console().print(f"{place}: {said}", markup=False, highlight=False, soft_wrap=True)


def check_options(form: str, words: str | None, recipe: str | None, most: int | None) -> None:
    """Checks that options go together.

    Raises:
        click.UsageError: they do not.
    """
    if form != "static" and (words or recipe or most):
        raise click.UsageError("--words, --recipe and --most belong to --to static")
    if form == "static" and bool(words) == bool(recipe):
        raise click.UsageError("--to static wants words: either --words FILE or --recipe NAME")
    if words and most:
        raise click.UsageError("--most belongs to --recipe; of --words all are taken")


def write_folder(name: str, pooling: str | None, max_tokens: int | None, place: Path) -> str:
    """Writes the folder for sentence-transformers, and says so."""
    from flows.cli.encoders import find_encoder_folder, load_encoder
    from mirror.encoders.sentence_transformers_format import read_encoder_settings
    from mirror.export.sentence_transformers import copy_encoder, save_encoder

    folder = find_encoder_folder(name)
    if read_encoder_settings(folder) and not (pooling or max_tokens):
        copy_encoder(folder, place)
    else:
        save_encoder(load_encoder(str(folder), pooling, max_tokens), place)
    return "a folder for SentenceTransformer"


def onnx_written(name: str, pooling: str | None, max_tokens: int | None, place: Path) -> str:
    """Writes the graph and its tokenizer, and says how near its vectors are."""
    from flows.cli.encoders import find_encoder_folder, load_encoder
    from mirror.export.onnx import check_onnx, export_onnx

    check_onnx()
    folder = find_encoder_folder(name)
    encoder = load_encoder(str(folder), pooling, max_tokens)
    difference = export_onnx(encoder, folder, place)
    return f"an ONNX graph whose vectors differ from the encoder's by {difference:.1e} at most"


def table_written(
    name: str, pooling: str | None, max_tokens: int | None, words: list[str], place: Path
) -> str:
    """Writes the words' vectors, and says how many."""
    from flows.cli.encoders import load_encoder
    from flows.cli.progress import live_progress
    from mirror.export.word_vectors import export_words

    encoder = load_encoder(name, pooling, max_tokens)
    with live_progress(stderr_console()) as on_progress:
        export_words(encoder, words, place, on_progress)
    return f"vectors of {len(words):,} words, {encoder.dimension} numbers each"


def words_to_encode(listed: str | None, recipe: str | None, most: int) -> list[str]:
    """The words of a list, or the most frequent ones of a run's corpus.

    Raises:
        InputError: the list cannot be read, or is empty.
        StoreError: there is no such run, or its corpus is gone.
    """
    if listed is not None:
        from mirror.export.word_vectors import read_words

        return read_words(Path(listed))
    from flows.cli.progress import live_progress
    from mirror.export.word_vectors import frequent_words
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record, find_stage

    corpus = find_stage(find_record(open_workspace(), recipe), "corpus")
    with live_progress(stderr_console()) as on_progress:
        return frequent_words(corpus, most, on_progress)
