"""What an evaluation's key depends on."""

from __future__ import annotations

from mirror.evaluation_stage import EncoderPlace, evaluation_stage
from mirror.recipe import Recipe
from mirror.store import StageRecord


def test_the_key_holds_every_library_that_moves_a_score(recipe: Recipe) -> None:
    chosen = recipe.model_copy(
        update={"evaluation": recipe.evaluation.model_copy(update={"benchmarks": ()})}
    )
    encoder = EncoderPlace("e", "digest", None, None, "tuned")
    corpus, sample = (StageRecord(name, "k", name, name) for name in ("corpus", "sample"))
    libraries = evaluation_stage(chosen, encoder, corpus, sample).libraries
    needed = {"bm25s", "numpy", "scipy", "tokenizers", "torch", "transformers"}
    assert needed <= set(libraries)
