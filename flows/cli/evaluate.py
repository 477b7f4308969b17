"""Scores of encoders that no run has made, or that one made long ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import Console

from flows.cli.encoders import load_encoder, load_rival
from flows.cli.progress import live_progress
from flows.cli.tables import extra_metric_table, result_table, score_table
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark, read_definition
from mirror.evaluation.datasets import definition_digest, fetch_benchmark
from mirror.evaluation.score_change import MetricSummary, ScoreChange
from mirror.progress import OnProgress, ProgressEvent
from mirror.recipe import GateSection
from mirror.release.run_record import find_record, find_stage
from mirror.run_data import RunData
from tasks.environment import workspace_root

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder
    from mirror.evaluation.result import BenchmarkResult

EncoderScores = dict[str, "BenchmarkResult"]


@dataclass(frozen=True)
class EvaluateOptions:
    """What is to be scored."""

    encoder: str | None
    """A folder or a registry URI; nothing only fetches."""
    benchmarks: tuple[str, ...]
    """Names, and paths that end in `.toml`."""
    pooling: str | None = None
    max_tokens: int | None = None
    baseline: str | None = None
    recipe: str | None = None
    fetch: bool = False
    target_encoder: str | None = None
    """A second encoder, for the target language of lexicons."""


def print_scores(wanted: EvaluateOptions, out: Console, err: Console) -> None:
    """Scores an encoder, beside another if asked, and prints a table."""
    definitions = [read_definition(name) for name in wanted.benchmarks]
    if wanted.target_encoder is not None:
        _check_two_languages(definitions)
    if wanted.fetch:
        _fetch_missing(definitions, err)
    for definition in definitions:
        definition_digest(definition)  # data that is missing shows before an encoder is loaded
    if wanted.encoder is None:
        return
    run = _run_data(definitions, wanted.recipe)
    data = {definition.name: definition.load(run) for definition in definitions}
    encoder = load_encoder(wanted.encoder, wanted.pooling, wanted.max_tokens)
    baseline, target = (
        load_rival(name, encoder.settings, wanted.pooling) if name else None
        for name in (wanted.baseline, wanted.target_encoder)
    )
    with live_progress(err) as on_progress:
        results = _score(encoder, definitions, data, target, on_progress)
        before = _score(baseline, definitions, data, target, on_progress) if baseline else None
    if before is None:
        out.print(result_table(results, title=wanted.encoder))
        return
    title = f"{wanted.encoder}, compared with {wanted.baseline}"
    _print_both(definitions, before, results, title, out)


def _print_both(
    definitions: Sequence[Benchmark],
    before: EncoderScores,
    after: EncoderScores,
    title: str,
    out: Console,
) -> None:
    from mirror.evaluation.comparison import compare_extra_metrics, compare_results

    gate, sides = GateSection(), ("baseline", "encoder")
    lines: list[ScoreChange] = []
    extra_metrics: list[MetricSummary] = []
    for definition in definitions:
        both = before[definition.name], after[definition.name]
        if definition.used_by_gate:
            lines.append(compare_results(definition.name, *both, gate))
        extra_metrics.extend(compare_extra_metrics(definition, *both))
    if lines:
        out.print(score_table(lines, gate.confidence, title, sides))
    if extra_metrics:
        out.print(extra_metric_table(extra_metrics, sides))


def _check_two_languages(definitions: Sequence[Benchmark]) -> None:
    members = [read_definition(name) for definition in definitions for name in definition.members]
    if not any(definition.USES_SECOND_ENCODER for definition in (*definitions, *members)):
        raise BenchmarkError(
            "--target-encoder is for the target language of a lexicon, such as xling-en-fr, and "
            "no benchmark is a lexicon: name one, or leave out --target-encoder"
        )


def _fetch_missing(definitions: Sequence[Benchmark], err: Console) -> None:
    folder = workspace_root() / "benchmarks"
    with live_progress(err) as on_progress:
        for definition in definitions:
            try:
                definition_digest(definition)
            except BenchmarkError:
                fetch_benchmark(definition, folder, on_progress)
                err.print(f"{definition.name}: fetched into {folder}", markup=False, soft_wrap=True)


def _run_data(definitions: Sequence[Benchmark], recipe: str | None) -> RunData | None:
    """Return the stages of the recipe's last run, or None if no benchmark needs them."""
    needing_run = [definition.name for definition in definitions if definition.NEEDS_RUN]
    if not needing_run:
        return None
    if recipe is None:
        raise BenchmarkError(
            f"{', '.join(needing_run)}: measured on a run's own texts; name a recipe that has run "
            "with --recipe"
        )
    record = find_record(workspace_root(), recipe)
    has_pairs = any(line.stage == "pairs" for line in record.stages)
    return RunData(
        find_stage(record, "corpus"),
        find_stage(record, "sample"),
        find_stage(record, "pairs") if has_pairs else None,
    )


def _score(
    encoder: Encoder,
    definitions: Sequence[Benchmark],
    data: Mapping[str, Any],
    second: Encoder | None,
    on_progress: OnProgress,
) -> EncoderScores:
    results: EncoderScores = {}
    for done, definition in enumerate(definitions):
        on_progress(
            ProgressEvent("evaluation", done, len(definitions), "benchmarks", definition.name)
        )
        results[definition.name] = definition.score(encoder, data[definition.name], second)
    return results
