"""Recipes: strict validation, and defaults of the levels."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import RecipeError
from mirror.recipe import (
    PAPER_RECIPES,
    Recipe,
    find_recipe,
    parse_recipe,
    read_recipe,
    recipe_names,
)
from mirror.tuning_defaults import fill_tuning

MINIMAL: dict[str, Any] = {
    "language": "en",
    "domain": "trials",
    "level": "sentence",
    "corpus": {"source": "files", "paths": ["texts"]},
    "base": {"path": "models/some"},
    "evaluation": {"benchmarks": ["stsb"]},
    "registry": {"model": "mirror-en-trials"},
}

WHOLE = """
language = "en"
domain = "trials"
level = "sentence"
corpus = { source = "files", paths = ["texts"] }
base = { path = "models/some" }
evaluation = { benchmarks = ["stsb"] }
registry = { model = "mirror-en-trials" }
"""
KEEP_RAW = {"source": "files", "paths": ["texts"], "split_into": "lines", "keep_raw": True}


def parsed(**changes: Any) -> Recipe:
    return parse_recipe({**deepcopy(MINIMAL), **changes}, name="trial", source="trial.toml")


def faults_of(**changes: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        parsed(**changes)
    return str(caught.value)


@pytest.mark.parametrize(
    ("level", "temperature", "mask_length", "epochs", "max_tokens", "pooling"),
    [
        ("word", 0.2, 0, 2, 25, "cls"),
        ("name", 0.04, 2, 2, 25, "cls"),
        ("sentence", 0.04, 5, 1, 128, "mean"),
    ],
)
def test_the_level_sets_the_papers_settings_and_a_length_that_fits_most_text(
    level: str, temperature: float, mask_length: int, epochs: int, max_tokens: int, pooling: str
) -> None:
    tuning = parsed(level=level, tuning={"views": "identity"}).tuning
    assert (tuning.temperature, tuning.mask_length) == (temperature, mask_length)
    assert (tuning.max_tokens, tuning.pooling) == (None, None)  # left to the base
    complete = fill_tuning(level, {})
    assert (complete["max_tokens"], complete["pooling"]) == (max_tokens, pooling)
    of_paper = fill_tuning(level, {"mode": "paper"})["max_tokens"]
    assert of_paper == (50 if level == "sentence" else 25)
    assert tuning.epochs == epochs
    assert (tuning.batch_size, tuning.learning_rate, tuning.dropout) == (200, 2e-5, 0.1)


@pytest.mark.parametrize(
    ("changes", "views"),
    [
        ({}, "crops"),
        ({"tuning": {"mode": "paper"}}, "identity"),
        ({"tuning": {"views": "titles"}}, "titles"),
        ({"level": "name"}, "identity"),
        ({"corpus": {"source": "files", "paths": ["a"], "split_into": "lines"}}, "identity"),
        ({"level": "word", "corpus": {"source": "wordfreq"}}, "identity"),
    ],
)
def test_sentences_of_documents_are_tuned_on_crops_unless_the_recipe_says_otherwise(
    changes: dict[str, Any], views: str
) -> None:
    recipe = parsed(**changes)
    assert recipe.tuning.views == {views: 1.0}
    assert recipe.has_default_views == (not changes)


def test_a_recipe_that_left_out_its_views_can_take_identity_pairs_with_their_own_defaults() -> None:
    left_out, named = (
        parsed(tuning={"temperature": 0.05, **views}) for views in ({}, {"views": "identity"})
    )
    assert left_out.tuning.batch_size == 128
    assert left_out.with_identity().model_dump() == named.model_dump()
    assert left_out.with_identity().views_are_replaced and not named.views_are_replaced
    assert named.tuning.batch_size == 200


def test_the_recipes_settings_override_its_levels() -> None:
    tuning = parsed(tuning={"temperature": 0.07}).tuning
    assert tuning.temperature == 0.07
    assert tuning.mask_length == 5


def test_all_faults_are_listed_with_their_keys() -> None:
    message = faults_of(
        language=False,
        tuning={"temprature": 0.04, "batch_size": "many"},
        sample={"size": 0},
        schedule="daily",
    )
    assert "5 fault(s)" in message
    for place in ("language", "tuning.temprature", "tuning.batch_size", "sample.size", "schedule"):
        assert f"  {place}: " in message
    assert "unknown key" in message


def test_the_language_no_is_not_read_as_false() -> None:
    assert parsed(language="no").language == "no"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sample": {"size": 120}}, "there would not be one batch"),
        ({"base": {"path": "a", "hub": "b", "revision": "c"}}, "exactly one of"),
        ({"base": {"hub": "bert-base-uncased"}}, "needs `revision`"),
        ({"base": {}}, "exactly one of"),
        ({"corpus": {"source": "files"}}, "needs `paths`"),
        ({"corpus": {"source": "hub", "dataset": "x/y"}}, "needs `revision`"),
        ({"corpus": {"source": "hub"}}, "needs `dataset`"),
        ({"corpus": {"source": "published"}}, "needs `files`"),
        (
            {"corpus": {"source": "published", "files": [{"path": "../a", "sha256": "0" * 64}]}},
            "leaves its folder",
        ),
        (
            {"corpus": {**KEEP_RAW, "files": [{"path": "a", "sha256": "0" * 64}]}},
            "files: unknown key",
        ),
        ({"corpus": {**KEEP_RAW, "split_into": "sentences"}}, "set `split_into` to 'lines'"),
        (
            {"corpus": {"source": "wordfreq", "split_into": "lines", "keep_raw": True}},
            "lists of lines",
        ),
        ({"corpus": {**KEEP_RAW, "near_duplicates": 0.9}}, "choose"),
        ({"tuning": {"duplicates": "negatives", "near_duplicates": 0.9}}, "choose one"),
        ({"tuning": {"mode": "paper", "near_duplicates": 0.9}}, "`duplicates` negatives"),
        ({"tuning": {"near_duplicates": 0.0}}, "tuning.near_duplicates"),
        ({"corpus": KEEP_RAW, "sample": {"min_count": 2}}, "sample.min_count"),
        ({"registry": {"model": "../../etc"}}, "registry.model"),
        ({"evaluation": {"benchmarks": []}}, "evaluation.benchmarks"),
    ],
)
def test_impossible_combinations_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in faults_of(**changes)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("sample", "size", "10000"),
        ("sample", "size", 10_000.0),
        ("sample", "seed", True),
        ("sample", "stratify_by_source", 1),
        ("corpus", "check_language", "no"),
        ("corpus", "paths", "texts"),
        ("corpus", "paths", [1]),
        ("tuning", "temperature", float("inf")),
        ("tuning", "learning_rate", float("inf")),
        ("tuning", "learning_rate", "2e-5"),
        ("tuning", "dropout", False),
        ("tuning", "max_tokens", 2),
    ],
)
def test_a_wrong_type_is_refused_and_not_converted(section: str, key: str, value: Any) -> None:
    content = {**MINIMAL.get(section, {}), key: value}
    assert f"  {section}.{key}" in faults_of(**{section: content})


@pytest.mark.parametrize("value", [float("inf"), float("nan"), "0.01"])
def test_the_gates_tolerance_must_be_finite(value: Any) -> None:
    evaluation = {"benchmarks": ["stsb"], "gate": {"tolerance": value}}
    assert "  evaluation.gate.tolerance: " in faults_of(evaluation=evaluation)


def test_integers_are_accepted_as_floats_and_lists_as_tuples() -> None:
    recipe = parsed(tuning={"temperature": 1}, corpus={"source": "files", "paths": ["a", "b"]})
    assert isinstance(recipe.tuning.temperature, float)
    assert recipe.corpus.paths == ("a", "b")


@pytest.mark.parametrize("mode", ["json", "python"])
def test_a_recipe_survives_serialization(mode: str) -> None:
    recipe = parsed(tuning={"max_tokens": 3, "views": "crops"})
    assert parse_recipe(recipe.model_dump(mode=mode), name="trial", source="a test") == recipe


def test_a_recipe_file_must_not_set_a_name(tmp_path: Path) -> None:
    (tmp_path / "trial.toml").write_text('name = "other"\nlanguage = "en"\n')
    with pytest.raises(RecipeError, match=r"trial\.toml sets `name`: remove it"):
        find_recipe("trial", tmp_path)


@pytest.mark.parametrize("revision", ["main", "v1.0", "abc1234", "0" * 39, "g" * 40, "0" * 41, ""])
def test_a_revision_must_be_a_full_commit(revision: str) -> None:
    message = faults_of(
        base={"hub": "some/base", "revision": revision},
        corpus={"source": "hub", "dataset": "some/set", "revision": revision},
    )
    assert "2 fault(s)" in message
    assert message.count("`revision`, a commit's 40 hexadecimal digits") == 2
    assert "a branch, a tag or a short commit" in message


def test_a_full_commit_is_accepted() -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    assert parsed(base={"hub": "some/base", "revision": commit}).base.revision == commit
    corpus = {"source": "hub", "dataset": "some/set", "revision": commit}
    assert parsed(corpus=corpus).corpus.revision == commit


def test_a_missing_section_is_named() -> None:
    content = deepcopy(MINIMAL)
    del content["registry"], content["level"]
    with pytest.raises(RecipeError, match="registry: missing") as caught:
        parse_recipe(content, name="trial", source="trial.toml")
    assert "level: missing" in str(caught.value)


@pytest.mark.parametrize("level", [None, "sentense", 3])
def test_settings_that_the_level_sets_are_not_listed_as_missing_if_the_level_is_wrong(
    level: Any,
) -> None:
    content = {**deepcopy(MINIMAL), "level": level, "tuning": {"batch_size": 0}}
    if level is None:
        del content["level"]
    with pytest.raises(RecipeError, match=r"trial\.toml has 2 fault\(s\)") as fault:
        parse_recipe(content, name="trial", source="trial.toml")
    places = [line.split(":")[0].strip() for line in str(fault.value).splitlines()[1:]]
    assert places == ["level", "tuning.batch_size"]


def test_the_error_for_an_unknown_recipe_lists_the_recipes(tmp_path: Path) -> None:
    (tmp_path / "de-wiki.toml").write_text("")
    with pytest.raises(RecipeError, match="de-wiki"):
        find_recipe("en-wiki", tmp_path)


def test_the_error_for_broken_toml_has_the_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text('language = "en\n')
    with pytest.raises(RecipeError, match=r"broken\.toml.*line 1"):
        read_recipe(path)


def test_a_name_cannot_be_a_path_outside_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="not a valid recipe name"):
        find_recipe("../secret", tmp_path)


def test_the_papers_recipes_are_found_by_name_and_listed_separately(tmp_path: Path) -> None:
    (tmp_path / "paper").mkdir()
    for name in ("en-own", "paper/paper-en"):
        (tmp_path / f"{name}.toml").write_text(WHOLE)
    assert find_recipe("paper-en", tmp_path).name == "paper-en"
    assert find_recipe("en-own", tmp_path).name == "en-own"
    assert recipe_names(tmp_path) == ["en-own"]


def test_the_error_for_an_unknown_name_has_the_closest_name_and_not_the_papers_list(
    tmp_path: Path,
) -> None:
    (tmp_path / "paper").mkdir()
    for name in ("en-own", "paper/paper-en", "paper/paper-de"):
        (tmp_path / f"{name}.toml").write_text(WHOLE)
    with pytest.raises(RecipeError) as fault:
        find_recipe("paper-fr", tmp_path)
    assert str(fault.value) == (
        "no recipe is called 'paper-fr' (nearest: paper-en): there is en-own; "
        "`mirror recipes` lists all, including the paper's"
    )
    with pytest.raises(RecipeError, match="no recipe is called 'zulu': there is en-own;"):
        find_recipe("zulu", tmp_path)


def test_the_error_for_a_missing_path_does_not_list_its_folder(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    with pytest.raises(RecipeError, match=r"no file at .*mine\.toml: correct the path") as fault:
        find_recipe(str(tmp_path / "mine.toml"))
    assert "pyproject" not in str(fault.value)


def test_recipes_are_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed().tuning.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", [*recipe_names(), *recipe_names(PAPER_RECIPES)])
def test_every_shipped_recipe_loads(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    assert recipe.registry.model.startswith("mirror-")


@given(st.dictionaries(st.text(max_size=8), st.integers() | st.text(max_size=8) | st.none()))
def test_any_table_is_a_recipe_or_raises_a_recipe_error(content: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match="fault"):
        parse_recipe(content, name="any", source="any.toml")
