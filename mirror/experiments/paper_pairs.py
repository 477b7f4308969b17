"""Two encoders, one for each language, on a lexicon of both (paper, table 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder, untuned_encoder
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import benchmark_inputs
from mirror.evaluation.stage import scoring_libraries
from mirror.experiments.paper_jobs import Job
from mirror.experiments.trial import TrialResult
from mirror.store import Stage, StageRecord, Store

SCORE = "score"


def encoder_place(job: Job, result: TrialResult) -> EncoderRef:
    """Where a job's encoder is, once it was run for a seed."""
    if result.tuned is not None:
        return tuned_encoder(result.tuned, job.recipe.name)
    base = untuned_encoder(job.base, job.recipe.tuning)
    return replace(base, label=job.recipe.name, pooling=job.encoder.pooling)


def score_pair(
    first: EncoderRef,
    second: EncoderRef,
    benchmark: str,
    store: Store,
) -> StageRecord:
    """Scores two encoders on a lexicon, or finds them scored; `counts["score"]` is the score.

    Raises:
        BenchmarkError: the benchmark's data is missing or damaged, or vectors are not numbers.
        BaseModelError: an encoder cannot be loaded.
        StoreError: the workspace cannot be written.
    """
    definition = read_definition(benchmark)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        import torch

        from mirror.encoders.encoder import Encoder
        from mirror.evaluation.evaluate import score_encoder
        from mirror.hardware import thread_count

        torch.set_num_threads(thread_count())
        one, other = (
            Encoder.load(Path(place.folder), place.pooling, place.max_tokens, prompt=place.prompt)
            for place in (first, second)
        )
        found = score_encoder(one, definition, second=other)
        return {SCORE: found.score, "items": found.n}

    ways = [[place.pooling, place.max_tokens, place.prompt] for place in (first, second)]
    inputs = {"first": first.digest, "second": second.digest}
    benchmark_parts = benchmark_inputs([benchmark])
    inputs.update(benchmark_parts)
    libraries = scoring_libraries(benchmark_parts)
    stage = Stage("pair-evaluation", "experiments.paper_pairs", inputs, {"read": ways}, libraries)
    return store.make(stage, write)
