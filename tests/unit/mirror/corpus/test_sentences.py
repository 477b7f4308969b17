import pysbd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.corpus.sentences import sentence_splitter, split_by_rule, split_sentences


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "Dr. Weaver left. He took the cart.", ["Dr. Weaver left.", "He took the cart."]),
        ("en", "Use numpy.sum here, e.g. with axis 0.", ["Use numpy.sum here, e.g. with axis 0."]),
        (
            "en",
            "It closes the gate. Then it (see there. Below) ends.",
            ["It closes the gate.", "Then it (see there. Below) ends."],
        ),
        ("en", "It opens a\nline", ["It opens a", "line"]),
        ("en", "It left in 1998. The Co. moved.", ["It left in 1998.", "The Co. moved."]),
        ("en", "Ask Weaver Co. in town. a cart.", ["Ask Weaver Co. in town.", "a cart."]),
        ("en", "See Prof. Weaver. Yahoo! No one.", ["See Prof. Weaver.", "Yahoo! No one."]),
        (
            "en",
            'The "old oar" broke (again). So it is.',
            ['The "old oar" broke (again).', "So it is."],
        ),
        ("en", '"Row. Now," she said. It rows.', ['"Row. Now," she said.', "It rows."]),
        (
            "en",
            "Work (see page 19) goes on (page 3) here.",
            ["Work (see page 19) goes on (page 3) here."],
        ),
        ("de", "Im Jahr 1998. Januar war kalt.", ["Im Jahr 1998. Januar war kalt."]),
        (
            "de",
            "Im 18. Jahrhundert war er hier. Im 19. Jahrhundert war er dort.",
            ["Im 18. Jahrhundert war er hier.", "Im 19. Jahrhundert war er dort."],
        ),
        ("de", 'Sie heißt "Labe". Sie fließt.', ['Sie heißt "Labe".', "Sie fließt."]),
        ("de", "Am 3. Oktober kam er. Sie blieb.", ["Am 3. Oktober kam er.", "Sie blieb."]),
        ("es", "¿Quién rema? Nadie rema.", ["¿Quién rema?", "Nadie rema."]),
        ("hi", "नाव चली। घाट आया।", ["नाव चली।", "घाट आया।"]),
        ("zh", "船开了。我们走吧！", ["船开了。", "我们走吧！"]),
        ("ja", "船が出た。行こう。", ["船が出た。", "行こう。"]),
        ("sw", "Mashua iko hapa. Twende sasa!", ["Mashua iko hapa.", "Twende sasa!"]),
        ("ko", "배가 왔다. 가자!", ["배가 왔다.", "가자!"]),
        ("th", "เรือมาแล้ว ไปกันเถอะ", ["เรือมาแล้ว ไปกันเถอะ"]),
    ],
)
def test_sentences_are_split_as_the_language_has_them(language, text, expected):
    assert split_sentences(text, language) == expected


@pytest.mark.parametrize(
    "text",
    ["J. K. rows. Nobody sees.", "It is 3. Oktober. So be it.", "“Row!” he said. “No.” She left."],
)
def test_the_rule_for_other_languages_keeps_initials_numbers_and_quotes_together(text):
    expected = {
        "J": ["J. K. rows.", "Nobody sees."],
        "I": ["It is 3. Oktober.", "So be it."],
        "“": ["“Row!” he said.", "“No.”", "She left."],
    }
    assert split_by_rule(text) == expected[text[0]]


@given(st.sampled_from(["en", "de", "ar", "zh", "sw"]), st.text(max_size=300))
def test_no_character_is_lost_or_added(language, text):
    joined = "".join(split_sentences(text, language))
    assert "".join(joined.split()) == "".join(text.split())


def test_symbols_that_pysbd_uses_itself_survive():
    text = "It holds ∯ and &ᓷ& now. It holds ȸ and ☝ too, e.g. here. End it."
    assert "".join("".join(split_sentences(text, "en")).split()) == "".join(text.split())


def test_quick_path_agrees_with_pysbd(sentences):
    lines = [
        f"{a.capitalize()}. {b.capitalize()}? {c.capitalize()}."
        for a, b, c in zip(sentences[::3], sentences[1::3], sentences[2::3], strict=False)
    ]
    slow = pysbd.Segmenter(language="en", clean=False)
    split = sentence_splitter("en")
    for line in lines[:100]:
        assert split(line) == [found.strip() for found in slow.segment(line)]


def test_huge_line_is_split_in_little_time():
    line = "the boat goes down. the boat comes up, e.g. here (no. 3. " * 20_000
    assert "".join("".join(sentence_splitter("en")(line)).split()) == "".join(line.split())
