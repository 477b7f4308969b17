"""Inputs of an evaluation's key."""

from __future__ import annotations

from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.benchmark import find_kind
from mirror.evaluation.stage import evaluation_stage
from mirror.recipe import Recipe
from mirror.run_data import RunData
from mirror.store import StageRecord


def test_the_key_contains_every_library_that_affects_a_score(recipe: Recipe) -> None:
    names = ("title-retrieval", "sample-space")
    chosen = recipe.model_copy(
        update={"evaluation": recipe.evaluation.model_copy(update={"benchmarks": names})}
    )
    encoder = EncoderRef("e", "digest", label="tuned")
    corpus, sample = (StageRecord(name, "k", name, name) for name in ("corpus", "sample"))
    libraries = evaluation_stage(chosen, encoder, RunData(corpus, sample)).libraries
    assert set(libraries) >= {"bm25s", "numpy", "tokenizers", "torch", "transformers"}
    assert "scipy" in find_kind("similarity").LIBRARIES


def test_the_key_follows_labelled_pairs_where_there_are_any(recipe: Recipe) -> None:
    section = recipe.evaluation.model_copy(update={"benchmarks": ()})
    chosen = recipe.model_copy(update={"evaluation": section})
    encoder = EncoderRef("e", "digest", label="tuned")
    records = [StageRecord(name, "k", name, name) for name in ("corpus", "sample", "a", "b")]
    keys = [
        evaluation_stage(chosen, encoder, RunData(*records[:2], pairs)).key
        for pairs in (None, *records[2:])
    ]
    assert len(set(keys)) == 3
