"""Scores of encoders that no run has made, or that one made long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from flows.cli.encoders import load_encoder, load_rival
from flows.cli.progress import live_progress
from flows.cli.tables import extra_metric_table, result_table, score_table
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import OF_A_RUN, Definition, definition_digest, read_definition
from mirror.progress import OnProgress, ProgressEvent
from mirror.recipe import GateSection
from mirror.release.run_record import MetricSummary, ScoreLine, find_record, find_stage
from tasks.environment import workspace_root

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder
    from mirror.evaluation.kinds.retrieval import Passages
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
    against: str | None = None
    recipe: str | None = None
    fetch: bool = False
    other: str | None = None
    """A second encoder, for the second language of lexicons."""


@dataclass(frozen=True)
class _RunTexts:
    """What a run has to measure on."""

    passages: Passages | None = None
    texts: Sequence[str] | None = None


def print_scores(wanted: EvaluateOptions, out: Console, err: Console) -> None:
    """Scores an encoder, beside another if asked, and prints a table."""
    definitions = [read_definition(name) for name in wanted.benchmarks]
    if wanted.other is not None:
        _check_two_languages(definitions)
    if wanted.fetch:
        _fetch_missing(definitions, err)
    for definition in definitions:
        definition_digest(definition)  # data that is missing shows before an encoder is loaded
    if wanted.encoder is None:
        return
    data = _texts_of_run(definitions, wanted.recipe)
    encoder = load_encoder(wanted.encoder, wanted.pooling, wanted.max_tokens)
    rival, other = (
        load_rival(name, encoder.settings, wanted.pooling) if name else None
        for name in (wanted.against, wanted.other)
    )
    with live_progress(err) as on_progress:
        results = _score(encoder, definitions, data, other, on_progress)
        of_rival = _score(rival, definitions, data, other, on_progress) if rival else None
    if of_rival is None:
        out.print(result_table(results, title=wanted.encoder))
        return
    _print_both(definitions, of_rival, results, f"{wanted.encoder}, against {wanted.against}", out)


def _print_both(
    definitions: Sequence[Definition],
    before: EncoderScores,
    after: EncoderScores,
    title: str,
    out: Console,
) -> None:
    from mirror.release.side_by_side import compare_extra_metrics, compare_results

    gate, sides = GateSection(), ("against", "encoder")
    lines: list[ScoreLine] = []
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


def _check_two_languages(definitions: Sequence[Definition]) -> None:
    members = [read_definition(name) for definition in definitions for name in definition.members]
    if not any(definition.task == "lexicon-induction" for definition in (*definitions, *members)):
        raise BenchmarkError(
            "--with takes an encoder for the second language of a lexicon, such as xling-en-fr, "
            "and none is among the benchmarks: name one, or leave out --with"
        )


def _fetch_missing(definitions: Sequence[Definition], err: Console) -> None:
    from mirror.evaluation.fetching import fetch_benchmark

    folder = workspace_root() / "benchmarks"
    with live_progress(err) as on_progress:
        for definition in definitions:
            try:
                definition_digest(definition)
            except BenchmarkError:
                fetch_benchmark(definition, folder, on_progress)
                err.print(f"{definition.name}: fetched into {folder}", markup=False, soft_wrap=True)


def _texts_of_run(definitions: Sequence[Definition], recipe: str | None) -> _RunTexts:
    wanting = [definition for definition in definitions if definition.task in OF_A_RUN]
    if not wanting:
        return _RunTexts()
    if recipe is None:
        names = ", ".join(definition.name for definition in wanting)
        raise BenchmarkError(
            f"{names}: of a run's own texts; name a recipe that has run with --recipe"
        )
    from mirror.evaluation.kinds.retrieval import held_out_passages
    from mirror.evaluation.kinds.space import sampled_texts
    from mirror.run_data import RunData

    record = find_record(workspace_root(), recipe)
    corpus, sample = find_stage(record, "corpus"), find_stage(record, "sample")
    searched = any(definition.task == "retrieval" for definition in wanting)
    paired = any(line.stage == "pairs" for line in record.stages)
    pairs = find_stage(record, "pairs") if paired else None
    passages = held_out_passages(RunData(corpus, sample, pairs)) if searched else None
    return _RunTexts(passages, sampled_texts(sample))


def _score(
    encoder: Encoder,
    definitions: Sequence[Definition],
    data: _RunTexts,
    other: Encoder | None,
    on_progress: OnProgress,
) -> EncoderScores:
    from mirror.evaluation.evaluate import score_encoder

    results: EncoderScores = {}
    for done, definition in enumerate(definitions):
        on_progress(
            ProgressEvent("evaluation", done, len(definitions), "benchmarks", definition.name)
        )
        results[definition.name] = score_encoder(
            encoder, definition, data.passages, data.texts, other
        )
    return results
