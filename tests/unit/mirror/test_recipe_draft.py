"""Recipes drafted from surveys."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.corpus.text_survey import TextSurvey
from mirror.documents import Document
from mirror.errors import BaseModelError, RecipeError
from mirror.paths import SHIPPED_BASE
from mirror.recipe import read_recipe
from mirror.recipe_draft import check_fit, draft_recipe, write_rehearsal

SETTINGS: dict[str, Any] = {"source": "files", "paths": ['/data/a "b".txt']}
COUNT = 2_000


def survey(sentences: int = 4, **changes: Any) -> TextSurvey:
    document = Document("A text.", "a.txt")
    made = TextSurvey(
        settings=SETTINGS,
        documents=COUNT * (document,),
        sentences=COUNT * (sentences,),
        is_whole=False,
        files=1,
        megabytes=2.5,
        formats=("text",),
        level="sentence",
    )
    return replace(made, **changes)


def test_each_choice_has_a_comment_and_the_recipe_is_valid() -> None:
    draft = draft_recipe("de-novels", "de", "novels", survey())
    recipe = draft.recipe
    assert (recipe.name, recipe.registry.model) == ("de-novels", "mirror-de-novels")
    assert tuple(recipe.tuning.views) == ("crops",)
    assert recipe.evaluation.benchmarks == ("passage-retrieval", "sentence-retrieval")
    assert tomllib.loads(draft.text)["corpus"] == SETTINGS
    for comment in (
        "# 1 file(s), 2.5 MB, text; 2,000 documents of them looked at\nsource",
        "# encoder, 471 MB, Apache-2.0; chosen for a processor (bases.toml)\nhub",
        "2,000 of 2,000 documents have two sentences or more\nviews",
    ):
        assert comment in draft.text


def test_titles_are_searched_where_there_are_some() -> None:
    titled = COUNT * (Document("T\nA text.", "a.md", title="T", body="A text."),)
    draft = draft_recipe("en-docs", "en", "docs", survey(documents=titled))
    assert draft.recipe.evaluation.benchmarks[0] == "title-retrieval"


def test_a_guard_is_set_where_its_data_is_and_named_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    draft = draft_recipe("en-notes", "en", "notes", survey())
    assert draft.recipe.evaluation.guard is None
    assert "mirror evaluate BASE --benchmarks stsb-dev --fetch\nbenchmarks = " in draft.text
    monkeypatch.setattr("mirror.recipe_draft.check_benchmarks", lambda names: None)
    assert draft_recipe("en-notes", "en", "notes", survey()).recipe.evaluation.guard == "stsb-dev"


def test_single_sentences_are_paired_with_themselves_and_need_labels() -> None:
    draft = draft_recipe("es-lines", "es", "lines", survey(sentences=1))
    assert 'views = "identity"' in draft.text
    assert draft.recipe.evaluation.benchmarks == ("sts17-es",)
    with pytest.raises(RecipeError, match="nothing measures level sentence in 'de': 0 of 2,000"):
        draft_recipe("de-lines", "de", "lines", survey(sentences=1))


def test_a_small_text_is_not_cropped() -> None:
    few = replace(survey(is_whole=True), sentences=200 * (4,), documents=survey().documents[:200])
    assert 'views = "identity"' in draft_recipe("de-few", "de", "few", few).text


def test_words_are_scored_by_the_languages_benchmark() -> None:
    words = survey(level="word", settings={**SETTINGS, "split_into": "lines"})
    recipe = draft_recipe("pl-words", "pl", "words", words).recipe
    assert recipe.evaluation.benchmarks == ("multisimlex-pl",)
    assert recipe.base.hub == "dkleczek/bert-base-polish-uncased-v1"
    with pytest.raises(RecipeError, match=r"level word in 'de': no benchmark .* has labels"):
        draft_recipe("de-words", "de", "words", words)


def test_a_rehearsal_reads_the_sample_only(tmp_path: Path) -> None:
    titled = survey(documents=COUNT * (Document("T\nA text.", "a", title="T", body="A text."),))
    path = write_rehearsal(draft_recipe("en-docs", "en", "docs", titled), titled, tmp_path)
    recipe = read_recipe(path)
    assert recipe.sample.size == 500
    assert recipe.corpus.model_dump()["paths"] == (str(tmp_path / "documents.jsonl"),)
    assert recipe.corpus.model_dump()["title_column"] == "title"


def test_a_base_that_does_not_know_the_letters_is_refused() -> None:
    chinese = survey(documents=100 * (Document("这列旧火车今天停在二号站台等待乘客", "a"),))
    recipe = draft_recipe("zh-a", "zh", "a", chinese, base=str(SHIPPED_BASE)).recipe
    with pytest.raises(BaseModelError, match="does not fit the text of zh-a"):
        check_fit(recipe, chinese)
