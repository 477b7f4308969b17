import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.corpus.sentences import MAX_WINDOW, WINDOW, sentence_splitter, split_sentences


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
        ("de", 'Sie heißt "Labe". Sie fließt.', ['Sie heißt "Labe".', "Sie fließt."]),
        ("es", "¿Quién rema? Nadie rema.", ["¿Quién rema?", "Nadie rema."]),
        ("hi", "नाव चली। घाट आया।", ["नाव चली।", "घाट आया।"]),
        ("zh", "船开了。我们走吧！", ["船开了。", "我们走吧！"]),
        ("ja", "船が出た。行こう。", ["船が出た。", "行こう。"]),
        ("sw", "Mashua iko hapa. Twende sasa!", ["Mashua iko hapa.", "Twende sasa!"]),
        ("ko", "배가 왔다. 가자!", ["배가 왔다.", "가자!"]),
        ("th", "เรือมาแล้ว ไปกันเถอะ", ["เรือมาแล้ว ไปกันเถอะ"]),
        ("km", "ទូកចេញហើយ។ តោះទៅ។", ["ទូកចេញហើយ។", "តោះទៅ។"]),
        ("bo", "ང་ཚོ་འགྲོ། ཁྱོད་སླེབས།", ["ང་ཚོ་འགྲོ།", "ཁྱོད་སླེབས།"]),
        ("gsw", "S Boot chunnt. Mir gönd.", ["S Boot chunnt.", "Mir gönd."]),
    ],
)
def test_sentences_are_split_by_the_rules_of_the_language(language, text, expected):
    assert split_sentences(text, language) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "de",
            "Im 18. Jahrhundert war er hier. Im 19. Jahrhundert war er dort.",
            ["Im 18. Jahrhundert war er hier.", "Im 19. Jahrhundert war er dort."],
        ),
        ("de", "Am 3. Oktober kam er. Sie blieb.", ["Am 3. Oktober kam er.", "Sie blieb."]),
        ("nb", "Han kom 3. mai. Hun ble.", ["Han kom 3. mai.", "Hun ble."]),
        ("en", "He came in 19. She stayed.", ["He came in 19.", "She stayed."]),
    ],
)
def test_ordinal_numbers_end_no_sentence_where_the_language_has_them(language, text, expected):
    assert split_sentences(text, language) == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "de",
            "(2) Die Zeit beträgt 36 Monate. Ihr Beginn ist fest.",
            ["(2) Die Zeit beträgt 36 Monate.", "Ihr Beginn ist fest."],
        ),
        ("de", "Der Weg ist frei. 2016 kam er.", ["Der Weg ist frei.", "2016 kam er."]),
        (
            "en",
            "1. First thing. 2. Second thing.",
            ["1. First thing.", "2. Second thing."],
        ),
        ("en", "At FDR = 0. 01, some are left.", ["At FDR = 0. 01, some are left."]),
        ("en", "It takes 2 h. Then it ends.", ["It takes 2 h.", "Then it ends."]),
        ("en", "(It ended there.) The rest is new.", ["(It ended there.)", "The rest is new."]),
        ("en", "Use ASP.NET here. It works.", ["Use ASP.NET here.", "It works."]),
        ("en", "‘Play!’ cried the bowler. He ran.", ["‘Play!’ cried the bowler.", "He ran."]),
        ("en", "boring! i saw this. ok", ["boring!", "i saw this.", "ok"]),
        ("en", "Is it over? ? It is. (\\)", ["Is it over? ?", "It is. (\\)"]),
        ("es", "Vino D. Juan. ¿Vacila V. ahora?", ["Vino D. Juan.", "¿Vacila V. ahora?"]),
        ("es", "—¡Venid! gritó ella. No.", ["—¡Venid! gritó ella.", "No."]),
    ],
)
def test_faults_of_sentencex_are_corrected(language, text, expected):
    assert split_sentences(text, language) == expected


@given(st.sampled_from(["en", "de", "es", "ar", "zh", "sw", "km"]), st.text(max_size=300))
def test_no_character_is_lost_or_added(language, text):
    joined = "".join(split_sentences(text, language))
    assert "".join(joined.split()) == "".join(text.split())


PIECES = ["(a)", "(2)", "19.", "0.", "e.g.", "Foo", "bar", ".", "!", "?", "“", "”", '"', "«", "»"]


@given(
    st.sampled_from(["en", "de", "es"]),
    st.lists(st.sampled_from([*PIECES, " ", "D.", "1990", "h.", ")", "..."]), max_size=40),
)
def test_no_character_is_lost_where_rules_apply(language, pieces):
    text = " ".join(pieces)
    joined = "".join(split_sentences(text, language))
    assert "".join(joined.split()) == "".join(text.split())


def test_windows_of_a_long_line_change_no_sentence():
    sentence = "The boat goes down the river (see no. 3 there), e.g. at Dr. Weaver's gate."
    line = " ".join([sentence] * (3 * WINDOW // len(sentence)))
    assert set(split_sentences(line, "en")) == {sentence}
    endless = "word " * (MAX_WINDOW // 2)
    assert "".join(split_sentences(endless, "en")).replace(" ", "") == endless.replace(" ", "")


@pytest.mark.parametrize("pattern", ["the boat, e.g. here (no. 3. ", "“a. ", "( ", '"A. ', "a."])
def test_time_of_a_huge_line_grows_with_its_length(pattern):
    line = pattern * (200_000 // len(pattern))
    start = time.process_time()
    assert "".join("".join(sentence_splitter("en")(line)).split()) == "".join(line.split())
    assert time.process_time() - start < 4
