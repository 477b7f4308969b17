"""Scores of encoders that no run has made, or that one made long ago."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console

from flows.display import result_table, score_table
from flows.encoders import load_encoder, load_rival
from flows.live import live_progress
from mirror.benchmark import Definition, definition_digest, read_definition
from mirror.errors import BenchmarkError
from mirror.progress import OnProgress, Progress
from mirror.recipe import GateSection
from mirror.run_record import find_record, find_stage
from tasks.environment import workspace_root

if TYPE_CHECKING:
    from mirror.benchmark_result import BenchmarkResult
    from mirror.encoder import Encoder
    from mirror.retrieval import Passages

Results = dict[str, "BenchmarkResult"]


@dataclass(frozen=True)
class Wanted:
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


def score_shown(wanted: Wanted, out: Console, err: Console) -> None:
    """Scores an encoder, beside another if asked, and prints a table."""
    definitions = [read_definition(name) for name in wanted.benchmarks]
    if wanted.fetch:
        _fetch_missing(definitions, err)
    for definition in definitions:
        definition_digest(definition)  # data that is missing shows before an encoder is loaded
    if wanted.encoder is None:
        return
    passages = _passages(definitions, wanted.recipe)
    encoder = load_encoder(wanted.encoder, wanted.pooling, wanted.max_tokens)
    rival = load_rival(wanted.against, encoder.settings, wanted.pooling) if wanted.against else None
    with live_progress(err) as on_progress:
        results = _score(encoder, definitions, passages, on_progress)
        of_rival = _score(rival, definitions, passages, on_progress) if rival else None
    if of_rival is None:
        out.print(result_table(results, title=wanted.encoder))
        return
    from mirror.side_by_side import compare_results

    gate = GateSection()
    lines = [
        compare_results(name, of_rival[name], result, gate) for name, result in results.items()
    ]
    title = f"{wanted.encoder}, against {wanted.against}"
    out.print(score_table(lines, gate.confidence, title, ("against", "encoder")))


def _fetch_missing(definitions: Sequence[Definition], err: Console) -> None:
    from mirror.fetching import fetch_benchmark

    folder = workspace_root() / "benchmarks"
    with live_progress(err) as on_progress:
        for definition in definitions:
            try:
                definition_digest(definition)
            except BenchmarkError:
                fetch_benchmark(definition, folder, on_progress)
                err.print(f"{definition.name}: fetched into {folder}", markup=False, soft_wrap=True)


def _passages(definitions: Sequence[Definition], recipe: str | None) -> Passages | None:
    searched = [definition.name for definition in definitions if definition.task == "retrieval"]
    if not searched:
        return None
    if recipe is None:
        raise BenchmarkError(
            f"{', '.join(searched)} searches the corpus of a run: name a recipe that has run with "
            "--recipe"
        )
    from mirror.retrieval import held_out_passages

    record = find_record(workspace_root(), recipe)
    return held_out_passages(find_stage(record, "corpus"), find_stage(record, "sample"))


def _score(
    encoder: Encoder,
    definitions: Sequence[Definition],
    passages: Passages | None,
    on_progress: OnProgress,
) -> Results:
    from mirror.evaluation import score_encoder

    results: Results = {}
    for done, definition in enumerate(definitions):
        on_progress(Progress("evaluation", done, len(definitions), "benchmarks", definition.name))
        results[definition.name] = score_encoder(encoder, definition, passages)
    return results
