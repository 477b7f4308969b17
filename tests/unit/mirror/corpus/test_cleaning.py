import sys
import unicodedata

import ftfy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.corpus import cleaning
from mirror.corpus.cleaning import BROKEN, clean_line, clean_text


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("plain words stay.", "plain words stay."),
        ("Ã¼ber den FluÃŸ", "über den Fluß"),
        ("the oarâ€™s blade", "the oar’s blade"),
        ("a ﬁne ½ ｗｉｄｅ", "a fine 1⁄2 wide"),
        ("tea &amp; bread", "tea & bread"),
        ("one\x00\x07 two\ufeff three\u00ad\u200b", "one two three"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("first\r\nsecond\u2028third\x85fourth", "first\nsecond\nthird\nfourth"),
        ("e\u0301", "é"),
        ("lone \ud83d half", f"lone {BROKEN} half"),
        ("\x1b[1mbold\x1b[0m", "bold"),
    ],
)
def test_text_is_repaired(given_text, expected):
    assert clean_text(given_text) == expected


@given(st.text(alphabet=st.characters(codec=None), max_size=200))
def test_any_text_can_be_stored_after_cleaning(text):
    cleaned = clean_text(text)
    assert unicodedata.is_normalized("NFKC", cleaned)
    assert not [
        mark
        for mark in cleaned
        if unicodedata.category(mark) in {"Cc", "Cs"} - {"\n"} and mark not in "\n\t"
    ]
    cleaned.encode()


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), max_size=200))
def test_ascii_is_changed_only_by_html_entities(text):
    if "&" not in text:
        assert clean_text(text) == text


def test_white_space_becomes_single_spaces():
    assert clean_line("  a\t b\u3000c \n d ") == "a b c d"


def test_any_white_space_of_unicode_becomes_a_space() -> None:
    spaces = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]
    assert len(spaces) > 20
    for space in spaces:
        assert clean_line(f"{space}a{space}b{space}{space}c ") == "a b c"


def repaired(text: str) -> str:
    """Return the text as ftfy repairs it, without the short cut for text that needs no repair."""
    fixed = cleaning._INVISIBLE.sub("", ftfy.fix_text(text, cleaning._FIXES))
    return unicodedata.normalize("NFKC", fixed)


def test_stable_characters_need_no_repair_between_ascii_characters() -> None:
    """Each is tried between characters of every kind that ftfy's patterns tell apart."""
    around = ["a", "Z", " ", "0", ".", "\n", "(", '"', "~"]
    for character in cleaning._stable_characters():
        text = "".join(f"{a}{character}{b}" for a in around for b in around)
        assert repaired(text) == text


@given(
    st.text(st.sampled_from("aZ 0.\n&œŒ²µ…ÂÃâ€äÄüÜéÉøØ„“”«»’–§£×±°¬¤¨вЂГРСжЖαΩ\u0301\u200d\xa0"))
)
def test_the_short_cut_changes_no_repair(text: str) -> None:
    assert cleaning.clean_text(text) == repaired(text)
