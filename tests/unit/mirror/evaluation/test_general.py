"""General benchmarks, and what is said where a recipe has none."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.evaluation.general import (
    choose_general,
    describe_unseen_loss,
    is_general,
    warn_of_unseen_loss,
)
from mirror.log_once import warn_once
from tests.fixtures.recipes import make_recipe

REGISTERED = {"registry": "models:/mirror-en-trades@champion"}


def test_general_are_published_pairs_with_human_scores(tmp_path: Path) -> None:
    names = ("stsb", "sts-english", "multisimlex-en", "passage-retrieval", "qnli", "xling", "none")
    assert [name for name in names if is_general(name)] == ["stsb", "sts-english", "multisimlex-en"]
    own = tmp_path / "own.toml"
    own.write_text('task = "similarity"\nfile = "own.tsv"\n')
    assert not is_general(str(own))


def test_a_benchmark_of_one_set_that_no_average_has_is_chosen_by_language_and_level() -> None:
    assert choose_general("en", words=False) == "stsb-dev"
    assert choose_general("en", words=True) == "multisimlex-en"
    assert choose_general("es", words=False) == "sts17-es"
    assert choose_general("de", words=False) is None
    assert choose_general("fr", words=False) is None


def test_a_recipe_that_continues_without_a_general_benchmark_is_warned_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    warn_once.cache_clear()
    recipe = make_recipe(base=REGISTERED, evaluation={"benchmarks": ["passage-retrieval"]})
    warn_of_unseen_loss(recipe)
    warn_of_unseen_loss(recipe)
    [record] = caplog.records
    assert "continues from models:/mirror-en-trades@champion" in record.message
    assert 'write guard = "stsb-dev" under [evaluation]' in record.message


def test_other_recipes_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    judged = make_recipe(base=REGISTERED, evaluation={"benchmarks": ["title-retrieval", "stsb"]})
    first = make_recipe(evaluation={"benchmarks": ["title-retrieval"]})
    guarded = make_recipe(
        base=REGISTERED, evaluation={"benchmarks": ["title-retrieval"], "guard": "stsb"}
    )
    for recipe in (judged, first, guarded):
        warn_of_unseen_loss(recipe)
    assert not caplog.records


def test_documents_without_a_general_benchmark_are_described() -> None:
    titles = {"benchmarks": ["title-retrieval"]}
    documents = make_recipe(language="es", tuning={"views": "crops"}, evaluation=titles)
    assert describe_unseen_loss(documents) == (
        "no benchmark measures general quality, but views of documents (crops) can lower it: "
        'write guard = "sts17-es" under [evaluation]'
    )
    identity = make_recipe(tuning={"views": "identity"}, evaluation=titles)
    guarded = make_recipe(tuning={"views": "crops"}, evaluation={**titles, "guard": "stsb"})
    assert not describe_unseen_loss(identity)
    assert not describe_unseen_loss(guarded)
