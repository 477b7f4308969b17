import pysbd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pysbd.languages import LANGUAGE_CODES

from mirror.corpus.abbreviations import (
    abbreviated_words,
    has_ordinals,
    quick_language,
    unending_words,
)

LANGUAGES = ("en", "de", "es", "ru", "sk", "bg", "da", "hi")
WORDS = {
    language: [
        *sorted(abbreviated_words(language))[::7],
        *("Boat", "start", "dr", "Mr", "St", "e.g", "a", "I", "19", "(no", '"co', "kart", "ил"),
    ]
    for language in LANGUAGES
}


@given(st.sampled_from(LANGUAGES), st.data())
def test_short_way_comes_to_what_pysbd_comes_to(language, data):
    words = st.sampled_from(WORDS[language])
    token = st.tuples(words, st.sampled_from(["", "", ".", ".,", "!", ". ."])).map("".join)
    text = " ".join(data.draw(st.lists(token, min_size=1, max_size=12)))
    usual = pysbd.Segmenter(language=language, clean=False)
    quick = pysbd.Segmenter(language=language, clean=False)
    quick.language_module = quick_language(language)
    assert quick.processor(text).process() == usual.processor(text).process()


@pytest.mark.parametrize("language", LANGUAGE_CODES)
def test_every_language_of_pysbd_has_it(language):
    segmenter = pysbd.Segmenter(language=language, clean=False)
    segmenter.language_module = quick_language(language)
    assert "".join(segmenter.processor("Boat 1. It left.").process()).startswith("Boat 1.")


def test_titles_go_on_before_a_capital_and_other_abbreviations_do_not():
    assert {"dr", "prof"} <= unending_words("en")
    assert {"co", "etc"} <= abbreviated_words("en") - unending_words("en")


def test_where_pysbd_does_not_look_at_what_follows_every_abbreviation_goes_on():
    for language in ("de", "ru", "sk", "bg"):
        assert unending_words(language) == abbreviated_words(language)


@pytest.mark.parametrize(("language", "expected"), [("en", False), ("de", True), ("sk", True)])
def test_ordinals_are_where_pysbd_has_rules_for_them(language, expected):
    assert has_ordinals(language) is expected
