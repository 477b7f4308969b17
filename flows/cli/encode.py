"""`mirror encode`: embeddings of the lines of a file."""

from __future__ import annotations

from pathlib import Path

import click

from flows.cli.console import echo, stderr_console
from flows.cli.options import Command, max_tokens_option, pooling_option, workspace_option


@click.command(cls=Command, short_help="Write the embeddings of texts, one per line.")
@click.argument("encoder")
@click.argument("source", metavar="[FILE]", default="-")
@click.option("--out", required=True, metavar="FILE", help="A .npy or .parquet file.")
@pooling_option
@max_tokens_option
@workspace_option
def encode(
    encoder: str, source: str, out: str, pooling: str | None, max_tokens: int | None
) -> None:
    """Write the embeddings of texts, the lines of FILE or of standard input.

    ENCODER is a folder or a registered model such as models:/NAME@champion.
    """
    from flows.cli.encoders import load_encoder
    from flows.cli.progress import live_progress
    from mirror.encoders.truncation import count_truncated
    from mirror.encoders.write_embeddings import check_embeddings_path, read_lines, write_embeddings

    path = Path(out)
    check_embeddings_path(path)
    texts = read_lines(None if source == "-" else Path(source))
    loaded = load_encoder(encoder, pooling, max_tokens)
    with live_progress(stderr_console()) as on_progress:
        count, dimension = write_embeddings(loaded, texts, path, on_progress)
    echo(f"{out}: {count:,} embeddings of {dimension} dimensions", err=True)
    if truncated := count_truncated(loaded, texts):
        echo(
            f"{truncated:,} of {count:,} texts were truncated at {loaded.settings.max_tokens} "
            "tokens: split them, or raise --max-tokens if the model takes more",
            err=True,
        )
