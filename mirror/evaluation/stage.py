"""The evaluation stage: one encoder on a recipe's benchmarks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.benchmark import definition_digest, read_definition
from mirror.progress import OnProgress, no_progress
from mirror.recipe import Recipe
from mirror.run_data import RunData
from mirror.store import Stage, StageRecord, Store

LIBRARIES = ("bm25s", "numpy", "scipy", "tokenizers", "torch", "transformers")


def evaluation_stage(
    recipe: Recipe,
    encoder: EncoderRef,
    data: RunData,
) -> Stage:
    """The stage that measures an encoder; what was tuned on is left out of retrieval's passages.

    Raises:
        BenchmarkError: a benchmark's definition or data is missing or damaged.
    """
    names = recipe.evaluation.benchmarks
    definitions = {name: definition_digest(read_definition(name)) for name in names}
    return Stage(
        name="evaluation",
        module="evaluation.evaluate",
        inputs={
            "encoder": encoder.digest,
            "corpus": data.corpus.digest,
            "sample": data.sample.digest,
            **({"pairs": data.pairs.digest} if data.pairs else {}),
            **{f"benchmark {name}": digest for name, digest in definitions.items()},
        },
        section={
            "benchmarks": list(names),
            "pooling": encoder.pooling,
            "max_tokens": encoder.max_tokens,
            "prompt": encoder.prompt,
        },
        libraries=LIBRARIES,
    )


def evaluate_encoder(
    recipe: Recipe,
    encoder: EncoderRef,
    data: RunData,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Measures an encoder on a recipe's benchmarks.

    Leaves `scores.json`, `predictions/NAME.parquet` for paired comparisons, and `diagnostics.json`.

    Raises:
        BenchmarkError: a benchmark is damaged, or the encoder's vectors are not numbers.
        BaseModelError: the encoder cannot be loaded.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.evaluation.evaluate import write_evaluation

        return write_evaluation(recipe.evaluation.benchmarks, encoder, data, out, on_progress)

    return store.make(evaluation_stage(recipe, encoder, data), write)
