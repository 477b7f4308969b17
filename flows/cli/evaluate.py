"""`mirror evaluate`: scores of an encoder on benchmarks, without a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flows.cli.console import echo, stderr_console, stdout_console
from flows.cli.options import (
    PRECISIONS,
    Command,
    Names,
    max_tokens_option,
    pooling_option,
    workspace_option,
)
from mirror.errors import BenchmarkError

if TYPE_CHECKING:
    from mirror.config_base import Precision
    from mirror.encoders.encoder import Encoder
    from mirror.evaluation.benchmark import Benchmark
    from mirror.evaluation.result import BenchmarkResult
    from mirror.progress import OnProgress
    from mirror.run_data import RunData

EncoderScores = dict[str, "BenchmarkResult"]


@click.command(cls=Command, short_help="Score an encoder on benchmarks.")
@click.argument("encoder", required=False)
@click.option(
    "--benchmarks", type=Names(), metavar="A,B", default=(), help="Names of files in benchmarks/."
)
@click.option(
    "--benchmark", "files", multiple=True, metavar="FILE", help="Your own definition; may repeat."
)
@pooling_option
@max_tokens_option
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    help="Round ENCODER's vectors as if they had been stored so.",
)
@click.option(
    "--baseline", metavar="OTHER", help="Compare with this encoder, with confidence intervals."
)
@click.option("--target-encoder", metavar="OTHER", help="Encoder of a lexicon's target language.")
@click.option(
    "--mteb", type=Names(), metavar="TASK,...", default=(), help="Tasks of mteb, or our benchmarks."
)
@click.option("--mteb-out", metavar="DIR", help="Default: the folder mteb of the workspace.")
@click.option("--recipe", help="Recipe whose newest run has the texts that a benchmark needs.")
@click.option("--fetch", is_flag=True, help="Download missing benchmark data.")
@workspace_option
def evaluate(
    encoder: str | None,
    benchmarks: tuple[str, ...],
    files: tuple[str, ...],
    pooling: str | None,
    max_tokens: int | None,
    **options: Any,
) -> None:
    """Score ENCODER on benchmarks, or on tasks of mteb.

    ENCODER and OTHER are folders or registered models such as models:/NAME@champion.  If OTHER is a
    plain model, it is pooled and truncated as ENCODER is.  Lexicons use ENCODER for both languages
    unless --target-encoder is given.  To download data only, give --fetch without ENCODER.
    """
    tasks = options["mteb"]
    if not (benchmarks or files or tasks):
        raise click.UsageError(
            "name benchmarks with --benchmarks, a file with --benchmark, or tasks with --mteb"
        )
    if encoder is None and not options["fetch"]:
        raise click.UsageError("name an ENCODER, or give --fetch to download data only")
    definitions = find_definitions(
        (*benchmarks, *files), options["fetch"], two_encoders=bool(options["target_encoder"])
    )
    if encoder is None:
        return
    if tasks:
        _score_mteb_tasks(encoder, tasks, options["mteb_out"], pooling, max_tokens)
    if definitions:
        _score_benchmarks(encoder, definitions, pooling, max_tokens, options)


def _score_benchmarks(
    encoder: str,
    definitions: Sequence[Benchmark],
    pooling: str | None,
    max_tokens: int | None,
    options: Mapping[str, Any],
) -> None:
    from flows.cli.encoders import load_encoder, load_encoder_like
    from flows.cli.progress import live_progress
    from flows.cli.tables import result_table

    run = _run_data(definitions, options["recipe"])
    data = {definition.name: definition.load(run) for definition in definitions}
    loaded = load_encoder(encoder, pooling, max_tokens)
    base, target = (
        load_encoder_like(loaded.settings, options[key], pooling) if options[key] else None
        for key in ("baseline", "target_encoder")
    )
    with live_progress(stderr_console()) as on_progress:
        precision: Precision = options["precision"]
        results = _score(loaded, definitions, data, target, on_progress, precision)
        before = _score(base, definitions, data, target, on_progress) if base else None
    if before is None:
        stdout_console().print(result_table(results, title=encoder))
        return
    title = f"{encoder}, compared with {options['baseline']}"
    _print_comparison(definitions, before, results, title)


def _score_mteb_tasks(
    encoder: str,
    names: Sequence[str],
    out: str | None,
    pooling: str | None,
    max_tokens: int | None,
) -> None:
    """Print the main score of each task, of mteb or of this project; write mteb's results."""
    from flows.cli.encoders import embeddings_origin, load_encoder, pin_encoder
    from flows.cli.tables import plain_table
    from mirror.corpus.extras import require_extra
    from mirror.formatting import score
    from mirror.paths import writable_workspace

    require_extra("mteb", "--mteb", "mteb")
    from mirror.evaluation.mteb_scores import find_tasks, results_folder, score_tasks

    tasks = find_tasks(names)
    pinned = pin_encoder(encoder)
    loaded = load_encoder(pinned, pooling, max_tokens)
    origin = embeddings_origin(pinned, loaded, "float32")
    folder = Path(out) if out else writable_workspace() / "mteb"
    table = plain_table(encoder, ("task",), ("main score",))
    for name, value in score_tasks(loaded, origin, tasks, folder).items():
        table.add_row(name, score(value))
    stdout_console().print(table)
    echo(str(results_folder(loaded, origin, folder)), err=True)


def find_definitions(names: Sequence[str], fetch: bool, *, two_encoders: bool) -> list[Benchmark]:
    """Return the definitions of benchmarks, by name or path, whose data is there or fetched."""
    from mirror.evaluation.benchmark import read_definition
    from mirror.evaluation.datasets import definition_digest

    definitions = [read_definition(name) for name in names]
    if two_encoders:
        _check_lexicon(definitions)
    if fetch:
        _fetch_missing(definitions)
    for definition in definitions:
        definition_digest(definition)  # raises an error if data is missing
    return definitions


def _check_lexicon(definitions: Sequence[Benchmark]) -> None:
    from mirror.evaluation.benchmark import read_definition

    members = [read_definition(name) for definition in definitions for name in definition.members]
    if not any(definition.USES_SECOND_ENCODER for definition in (*definitions, *members)):
        raise BenchmarkError(
            "--target-encoder is for the target language of a lexicon, such as xling-en-fr, and "
            "no benchmark is a lexicon: name one, or leave out --target-encoder"
        )


def _fetch_missing(definitions: Sequence[Benchmark]) -> None:
    from flows.cli.progress import live_progress
    from mirror.evaluation.datasets import definition_digest, fetch_benchmark
    from tasks.environment import workspace_root

    folder = workspace_root() / "benchmarks"
    console = stderr_console()
    with live_progress(console) as on_progress:
        for definition in definitions:
            try:
                definition_digest(definition)
            except BenchmarkError:
                fetch_benchmark(definition, folder, on_progress)
                line = f"{definition.name}: downloaded to {folder}"
                console.print(line, markup=False, highlight=False, soft_wrap=True)


def _run_data(definitions: Sequence[Benchmark], recipe: str | None) -> RunData | None:
    """Return the data of the recipe's newest run, or None if no benchmark needs it."""
    needing_run = [definition.name for definition in definitions if definition.NEEDS_RUN]
    if not needing_run:
        return None
    if recipe is None:
        raise BenchmarkError(
            f"{', '.join(needing_run)}: measured on the texts of a run; name a recipe that has a "
            "run with --recipe"
        )
    from mirror.release.run_record import find_record, find_stage
    from mirror.run_data import RunData
    from tasks.environment import workspace_root

    record = find_record(workspace_root(), recipe)
    has_pairs = any(stage.stage == "pairs" for stage in record.stages)
    return RunData(
        find_stage(record, "corpus"),
        find_stage(record, "sample"),
        find_stage(record, "pairs") if has_pairs else None,
    )


def _score(
    encoder: Encoder,
    definitions: Sequence[Benchmark],
    data: Mapping[str, Any],
    target: Encoder | None,
    on_progress: OnProgress,
    precision: Precision = "float32",
) -> EncoderScores:
    from mirror.encoders.embeddings_file import RoundedEncoder
    from mirror.evaluation.evaluate import CountingEncoder
    from mirror.progress import ProgressEvent

    counting = CountingEncoder(encoder)
    rounded = RoundedEncoder(counting, precision)
    results: EncoderScores = {}
    for done, definition in enumerate(definitions):
        on_progress(
            ProgressEvent("evaluation", done, len(definitions), "benchmarks", definition.name)
        )
        results[definition.name] = definition.score(rounded, data[definition.name], target)
    if cut := counting.counts["cut"]:
        echo(
            f"{cut:,} of {counting.counts['texts']:,} texts are longer than the "
            f"{encoder.settings.max_tokens} tokens that the encoder reads, and are cut",
            err=True,
        )
    return results


def _print_comparison(
    definitions: Sequence[Benchmark], before: EncoderScores, after: EncoderScores, title: str
) -> None:
    from flows.cli.tables import extra_metric_table, score_table
    from mirror.evaluation.comparison import compare_results, extra_metric_changes
    from mirror.recipe import GateSection

    gate, columns = GateSection(), ("baseline", "encoder")
    changes = [
        compare_results(each.name, before[each.name], after[each.name], gate)
        for each in definitions
        if each.used_by_gate
    ]
    extra_metrics = extra_metric_changes(
        *(
            {each.name: scores[each.name].content(each.used_by_gate) for each in definitions}
            for scores in (before, after)
        )
    )
    if changes:
        stdout_console().print(score_table(changes, gate.confidence, title, columns))
    if extra_metrics:
        stdout_console().print(extra_metric_table(extra_metrics, columns))
