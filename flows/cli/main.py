"""The command line: `mirror`.

What a command needs is imported inside it: `mirror --help` answers at once.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from flows.cli.bench import bench
from flows.cli.compare import compare
from flows.cli.deploy import deploy
from flows.cli.doctor import doctor
from flows.cli.errors import run_guarded
from flows.cli.export import export
from flows.cli.gc import gc
from flows.cli.options import Group, stderr_console, stdout_console, workspace_option
from flows.cli.pretrain import pretrain
from flows.cli.promote import history, promote, rollback
from flows.cli.run import run
from flows.cli.serve import serve
from flows.cli.services import down, up
from flows.cli.study import study
from flows.cli.verify import verify

POOLINGS = click.Choice(["cls", "mean", "mean-with-padding", "first-last", "last"])


def show_version(context: click.Context, _option: click.Parameter, asked: bool) -> None:
    """Prints the installed version."""
    if not asked:
        return
    from importlib.metadata import PackageNotFoundError, version

    try:
        click.echo(f"mirror {version('mirror-bert-pipeline')}")
    except PackageNotFoundError as error:
        raise click.ClickException(
            "this checkout is not installed, so it has no version: run `make install`"
        ) from error
    context.exit()


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the version and exit.",
)
def mirror() -> None:
    """Turns a masked language model into a word or sentence encoder, with no labels."""


@mirror.command(short_help="Lists the recipes.")
def recipes() -> None:
    """Lists the recipes: those that run by the clock, then the paper's."""
    from flows.cli.tables import paper_recipe_table, recipe_table
    from mirror.errors import RecipeError
    from mirror.recipe import PAPER_RECIPES, RECIPES, find_recipe, recipe_names

    faults = []
    for folder, show in ((RECIPES, recipe_table), (PAPER_RECIPES, paper_recipe_table)):
        found = []
        for name in recipe_names(folder):
            try:
                found.append(find_recipe(name))
            except RecipeError as fault:
                faults.append(str(fault))
        stdout_console().print(show(found))
    if faults:
        raise RecipeError("\n".join(faults))


@mirror.command()
@click.argument("recipe", required=False)
@workspace_option
def show(recipe: str | None) -> None:
    """Shows what the newest run came to, of RECIPE or of any."""
    from flows.cli.tables import show_run
    from mirror.paths import open_workspace
    from mirror.release.run_record import find_record

    show_run(find_record(open_workspace(), recipe), stdout_console())


@mirror.command(short_help="Scores an encoder on benchmarks.")
@click.argument("encoder", required=False)
@click.option("--benchmarks", metavar="A,B", help="Names of files in benchmarks/, with commas.")
@click.option("--benchmark", "files", multiple=True, metavar="FILE", help="A definition of yours.")
@click.option("--pooling", type=POOLINGS, help="For a plain model, which says nothing of it.")
@click.option("--max-tokens", type=click.IntRange(min=3), help="Cut texts; else as ENCODER says.")
@click.option("--baseline", metavar="OTHER", help="Compare with this encoder, with intervals.")
@click.option("--target-encoder", metavar="OTHER", help="Encoder of a lexicon's target language.")
@click.option("--recipe", help="For texts of a run: those of this recipe's newest one.")
@click.option("--fetch", is_flag=True, help="Get the data that is missing, from its publishers.")
@workspace_option
def evaluate(
    encoder: str | None, benchmarks: str | None, files: tuple[str, ...], **options: Any
) -> None:
    """Scores ENCODER, a folder or a registered model such as models:/NAME@champion.

    OTHER likewise; a plain model is pooled and cut as ENCODER is.  Without --target-encoder,
    ENCODER is that of both languages.  With --fetch alone, ENCODER may be left out.
    """
    names = [name.strip() for name in (benchmarks or "").split(",") if name.strip()]
    if not names and not files:
        raise click.UsageError("name benchmarks with --benchmarks, or a file with --benchmark")
    if encoder is None and not options["fetch"]:
        raise click.UsageError("name an ENCODER, or --fetch data")
    from flows.cli.evaluate import EvaluateOptions, print_scores

    print_scores(
        EvaluateOptions(encoder, (*names, *files), **options), stdout_console(), stderr_console()
    )


@mirror.command(short_help="Writes the vectors of texts, one a line.")
@click.argument("encoder")
@click.argument("source", metavar="[FILE]", default="-")
@click.option("--out", "place", required=True, metavar="FILE", help="A .npy or .parquet file.")
@click.option("--pooling", type=POOLINGS, help="For a plain model, which says nothing of it.")
@click.option("--max-tokens", type=click.IntRange(min=3), help="Cut texts; else as ENCODER says.")
@workspace_option
def encode(
    encoder: str, source: str, place: str, pooling: str | None, max_tokens: int | None
) -> None:
    """Writes the vectors of FILE's lines, or of standard input's, one a line.

    ENCODER is a folder or a registered model such as models:/NAME@champion.
    """
    from flows.cli.encoders import load_encoder
    from flows.cli.progress import live_progress
    from mirror.encoders.write_embeddings import check_embeddings_path, read_lines, write_embeddings

    check_embeddings_path(Path(place))
    texts = read_lines(None if source == "-" else Path(source))
    loaded = load_encoder(encoder, pooling, max_tokens)
    with live_progress(stderr_console()) as on_progress:
        rows, width = write_embeddings(loaded, texts, Path(place), on_progress)
    stderr_console().print(
        f"{place}: {rows:,} vectors of {width} numbers", highlight=False, soft_wrap=True
    )


mirror.add_command(bench)
mirror.add_command(compare)
mirror.add_command(doctor)
mirror.add_command(export)
mirror.add_command(gc)
mirror.add_command(history)
mirror.add_command(pretrain)
mirror.add_command(promote)
mirror.add_command(rollback)
mirror.add_command(run)
mirror.add_command(serve)
mirror.add_command(study)
mirror.add_command(up)
mirror.add_command(deploy)
mirror.add_command(down)
mirror.add_command(verify)


def main() -> None:
    """Entry point of the `mirror` command."""
    sys.exit(run_guarded(mirror, sys.argv[1:]))
