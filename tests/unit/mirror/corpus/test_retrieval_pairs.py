import pyarrow as pa
import pytest

from mirror.corpus.parquet_writer import PASSAGES, SENTENCES, TableWriter
from mirror.corpus.retrieval_pairs import Passage, PassageFinder
from tests.fixtures.recipes import make_recipe


def recipe(**corpus):
    return make_recipe(corpus=corpus)


def kept(*documents):
    rows = [
        {"text": text, "source": f"s{number}", "document": number, "position": place, "count": 1}
        for number, texts in documents
        for place, text in enumerate(texts)
    ]
    return pa.Table.from_pylist(rows, schema=SENTENCES)


def test_documents_of_four_sentences_are_halved(tmp_path):
    finder = PassageFinder(recipe(source="files", paths=["none"]), tmp_path)
    rows = kept((3, "abc"), (4, "defgh"), (7, "ijkl"))
    assert list(finder.of(8, rows)) == [
        Passage(4, "s4", "d e", "f g h"),
        Passage(7, "s7", "i j", "k l"),
    ]
    assert list(finder.of(9, kept())) == []


@pytest.mark.parametrize(
    "corpus",
    [{"source": "wordfreq"}, {"source": "files", "paths": ["none"], "split_into": "lines"}],
)
def test_lists_have_no_halves(tmp_path, corpus):
    assert list(PassageFinder(recipe(**corpus), tmp_path).of(0, kept((0, "abcd")))) == []


def test_passages_of_a_document_need_an_accepted_row(tmp_path):
    own = [(number, "s", f"query {number}", "answer") for number in (0, 2, 3, 5)]
    with TableWriter(tmp_path / "own", PASSAGES) as writer:
        for row in own:
            writer.add(*row)
    finder = PassageFinder(recipe(source="docstrings"), tmp_path / "own")
    assert list(finder.of(2, kept((1, "abcd"), (2, "a")))) == [own[1]]
    assert list(finder.of(4, kept())) == []
    assert list(finder.of(9, kept((5, "a")))) == [own[3]]
