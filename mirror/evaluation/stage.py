"""Evaluation stage: one encoder on a recipe's benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.datasets import benchmark_inputs, scoring_libraries
from mirror.progress import OnProgress, no_progress
from mirror.recipe import Recipe
from mirror.run_data import RunData
from mirror.store import Stage, StageRecord, Store


def evaluation_stage(
    recipe: Recipe,
    encoder: EncoderRef,
    run: RunData,
) -> Stage:
    """Return the stage that evaluates an encoder on the recipe's benchmarks.

    Corpus, sample and labelled pairs are inputs because retrieval leaves out what was tuned on.

    Raises:
        BenchmarkError: a benchmark's definition or data is missing or damaged.
    """
    names = recipe.evaluation.scored
    benchmarks = benchmark_inputs(names)
    return Stage(
        name="evaluation",
        module="evaluation.evaluate",
        inputs={
            "encoder": encoder.digest,
            "corpus": run.corpus.digest,
            "sample": run.sample.digest,
            **({"pairs": run.pairs.digest} if run.pairs else {}),
            **benchmarks,
        },
        section={
            "benchmarks": list(recipe.evaluation.benchmarks),
            **({"guard": recipe.evaluation.guard} if recipe.evaluation.guard else {}),
            "pooling": encoder.pooling,
            "max_tokens": encoder.max_tokens,
            "prompt": encoder.prompt,
            "stored_as": encoder.stored_as or "float32",
            "all_dimensions": encoder.all_dimensions,
        },
        libraries=scoring_libraries(benchmarks),
    )


def evaluate_encoder(
    recipe: Recipe,
    encoder: EncoderRef,
    run: RunData,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Evaluate an encoder on a recipe's benchmarks, or reuse an equal evaluation.

    The folder holds `scores.json`, `predictions/NAME.parquet` for paired comparisons, and
    `diagnostics.json`.

    Raises:
        BenchmarkError: a benchmark is damaged, or the encoder's vectors are not numbers.
        BaseModelError: the encoder cannot be loaded.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.evaluation.evaluate import write_evaluation

        return write_evaluation(recipe.evaluation, encoder, run, out, on_progress)

    return store.make(evaluation_stage(recipe, encoder, run), write)
