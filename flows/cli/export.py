"""`mirror export`: an encoder in other formats."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.console import echo, stderr_console
from flows.cli.options import Command, max_tokens_option, workspace_option

FORMATS = ("sentence-transformers", "onnx", "word-vectors")
WORDS = 50_000


@click.command(cls=Command, short_help="Write an encoder in another format.")
@click.argument("encoder")
@click.option("--format", "format_", required=True, type=click.Choice(FORMATS))
@click.option("--out", required=True, metavar="DIR", help="A folder that does not exist yet.")
@click.option("--words", metavar="FILE", help="word-vectors: the words, one per line.")
@click.option("--recipe", help="word-vectors: the most frequent words of this recipe's corpus.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"word-vectors: number of words with --recipe; default {WORDS:,}.",
)
@click.option(
    "--pooling",
    type=click.Choice(["cls", "mean", "first-last", "last"]),
    help="Pooling of a plain model, which has no setting for it.",
)
@max_tokens_option
@workspace_option
def export(
    encoder: str,
    format_: str,
    out: str,
    words: str | None,
    recipe: str | None,
    limit: int | None,
    pooling: str | None,
    max_tokens: int | None,
) -> None:
    """Write ENCODER, a folder or a registered model such as models:/NAME@champion, to DIR.

    sentence-transformers is a folder for SentenceTransformer.  onnx is one graph that includes
    pooling, and the tokenizer; it is checked against the encoder and needs the extra `onnx`.
    word-vectors is a table of single words' vectors, for gensim and others.

    If the export fails, DIR is not created.  The pooling mean-with-padding cannot be exported:
    readers of these formats do not pool over padding.
    """
    from mirror.atomic_write import check_new_folder

    check_options(format_, words, recipe, limit)
    folder = Path(out)
    check_new_folder(folder)
    match format_:
        case "onnx":
            summary = export_onnx_graph(encoder, pooling, max_tokens, folder)
        case "word-vectors":
            listed = words_to_encode(words, recipe, limit or WORDS)
            summary = export_word_vectors(encoder, pooling, max_tokens, listed, folder)
        case _:
            summary = export_folder(encoder, pooling, max_tokens, folder)
    echo(f"{out}: {summary}", err=True)


def check_options(format_: str, words: str | None, recipe: str | None, limit: int | None) -> None:
    """Raise click.UsageError if the options contradict each other."""
    if format_ != "word-vectors" and (words or recipe or limit):
        raise click.UsageError("--words, --recipe and --limit need --format word-vectors")
    if format_ == "word-vectors" and bool(words) == bool(recipe):
        raise click.UsageError(
            "--format word-vectors needs words: give either --words FILE or --recipe NAME"
        )
    if words and limit:
        raise click.UsageError("--limit needs --recipe: all words of --words are exported")


def export_folder(name: str, pooling: str | None, max_tokens: int | None, folder: Path) -> str:
    """Write the folder for sentence-transformers; return a summary."""
    from flows.cli.encoders import find_encoder_folder, load_encoder
    from mirror.encoders.sentence_transformers_reader import read_encoder_settings
    from mirror.export.sentence_transformers import copy_encoder, save_encoder

    source = find_encoder_folder(name)
    if read_encoder_settings(source) and not (pooling or max_tokens):
        copy_encoder(source, folder)
    else:
        save_encoder(load_encoder(str(source), pooling, max_tokens), folder)
    return "a folder for SentenceTransformer"


def export_onnx_graph(name: str, pooling: str | None, max_tokens: int | None, folder: Path) -> str:
    """Write the ONNX graph and its tokenizer; return a summary with the largest difference."""
    from flows.cli.encoders import find_encoder_folder, load_encoder
    from mirror.export.onnx import check_onnx, export_onnx

    check_onnx()
    source = find_encoder_folder(name)
    encoder = load_encoder(str(source), pooling, max_tokens)
    difference = export_onnx(encoder, source, folder)
    return (
        "an ONNX graph; its vectors differ from those of sentence-transformers by at most "
        f"{difference:.1e}"
    )


def export_word_vectors(
    name: str, pooling: str | None, max_tokens: int | None, words: list[str], folder: Path
) -> str:
    """Write the words' vectors; return a summary."""
    from flows.cli.encoders import load_encoder
    from flows.cli.progress import live_progress
    from mirror.export.word_vectors import export_words

    encoder = load_encoder(name, pooling, max_tokens)
    with live_progress(stderr_console()) as on_progress:
        export_words(encoder, words, folder, on_progress)
    return f"vectors of {len(words):,} words, {encoder.dimension} dimensions"


def words_to_encode(file: str | None, recipe: str | None, limit: int) -> list[str]:
    """Return the words of a file, or the most frequent words of a run's corpus."""
    if file is not None:
        from mirror.export.word_vectors import read_words

        return read_words(Path(file))
    from flows.cli.progress import live_progress
    from mirror.export.word_vectors import frequent_words
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record, find_stage

    corpus = find_stage(find_record(open_workspace(), recipe), "corpus")
    with live_progress(stderr_console()) as on_progress:
        return frequent_words(corpus, limit, on_progress)
