"""A corpus source that exists in this file only, from recipe to sentences."""

import pyarrow.parquet as pq
import pytest

from mirror import corpus_config
from mirror.corpus.ingest import corpus_stage, ingest_corpus
from mirror.corpus.sources import check_sources
from mirror.corpus_config import CorpusSection, CorpusSource, find_source, register_source
from mirror.documents import Document
from mirror.errors import CorpusError, RecipeError
from mirror.recipe import parse_recipe
from mirror.release.model_card import corpus_words
from tests.fixtures.recipes import make_recipe


class TideSection(CorpusSection):
    harbour: str
    tides: int = 3


class Tides(CorpusSource[TideSection]):
    name = "tides"
    settings = TideSection

    def check(self, section, recipe):
        if section.harbour == "dry":
            raise CorpusError("the harbour is dry: name another in corpus.harbour")

    def read(self, section, recipe):
        for number in range(section.tides):
            yield Document(f"Tide {number} reaches {section.harbour}. It falls.", "almanac")

    def digests(self, section, recipe):
        return {"almanac": f"{section.harbour}"}

    def describe(self, section):
        return f"tides of {section.harbour}"


@pytest.fixture(autouse=True)
def tides(monkeypatch):
    find_source("files")  # the others are registered first
    monkeypatch.setattr(corpus_config, "_sources", dict(corpus_config._sources))
    register_source(Tides())


def recipe(**corpus):
    return make_recipe(corpus={"source": "tides", "harbour": "Elbe", **corpus})


def test_a_new_source_is_ingested(store):
    record = ingest_corpus(recipe(tides=2), store)
    texts = pq.read_table(record.path / "sentences")["text"].to_pylist()
    assert texts == ["Tide 0 reaches Elbe.", "It falls.", "Tide 1 reaches Elbe."]
    assert record.counts["rejected"] == {"duplicate": 1}
    assert corpus_words(recipe()) == "tides of Elbe"


def test_its_settings_are_part_of_the_key():
    assert corpus_stage(recipe(tides=2)).key != corpus_stage(recipe(tides=3)).key
    assert corpus_stage(recipe(tides=3)).key == corpus_stage(recipe()).key


def test_its_settings_are_checked_together_with_all_others():
    with pytest.raises(RecipeError) as fault:
        recipe(tides="two", paths=["a"], min_characters=0)
    listed = str(fault.value)
    assert "3 fault(s)" in listed
    assert "corpus.tides: " in listed
    assert "corpus.paths: unknown key" in listed
    assert "corpus.min_characters: " in listed


def test_its_errors_come_before_any_work():
    with pytest.raises(CorpusError, match="harbour is dry"):
        check_sources(recipe(harbour="dry"))


def test_an_unknown_source_is_refused_with_those_that_exist():
    with pytest.raises(RecipeError, match=r"corpus\.source: unknown source; use one of .*tides"):
        recipe(source="sea")
    with pytest.raises(RecipeError, match=r"corpus\.source: missing; add it"):
        parse_recipe({"corpus": {}}, name="test", source="test")
