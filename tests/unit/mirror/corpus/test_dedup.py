import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.corpus import dedup
from mirror.corpus.dedup import DuplicateFinder, NearDuplicateFinder, read_repeated
from mirror.corpus.filtering import text_digests


@given(texts=st.lists(st.text(alphabet="aß", max_size=3), max_size=60), buffer=st.integers(1, 20))
def test_a_row_is_repeated_if_any_earlier_one_had_its_text(tmp_path_factory, texts, buffer):
    folder = tmp_path_factory.mktemp("hashes") / "here"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dedup, "BUFFER_ROWS", buffer)
        finder = DuplicateFinder(folder)
        for row in range(0, len(texts), 3):
            some = texts[row : row + 3]
            finder.add(np.arange(row, row + len(some)), text_digests(some))
        finder.mark_repeated(len(texts))
    expected = [text in texts[:row] for row, text in enumerate(texts)]
    assert read_repeated(folder)[: len(texts)].tolist() == expected


def test_rows_that_were_not_added_are_not_repeated(tmp_path):
    finder = DuplicateFinder(tmp_path / "hashes")
    finder.add(np.array([1, 4]), text_digests(["oar", "oar"]))
    finder.mark_repeated(6)
    assert read_repeated(tmp_path / "hashes").tolist() == [False] * 4 + [True, False]


def test_near_duplicates_are_those_with_nearly_the_same_letters():
    finder = NearDuplicateFinder(0.8)
    text = "The old ferry crosses the river twice a day, in summer and in winter alike."
    assert finder.is_new(text)
    assert not finder.is_new(text.replace("twice", "thrice"))
    assert not finder.is_new(text.upper())
    assert finder.is_new("Bread is baked at night and sold before the sun is up.")
    assert finder.is_new("a")
    assert not finder.is_new("A")
