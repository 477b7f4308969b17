import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

from mirror.corpus.language_id import _is_prose, check_language_exists, foreign_detector
from mirror.errors import CorpusError

TEXTS = {
    "de": "Der alte Fährmann bringt jeden Morgen die Kinder über den Fluss, und am Abend holt er "
    "sie wieder ab, wenn das Wetter es erlaubt.",
    "en": "The old ferryman takes the children over the river every morning, and in the evening he "
    "brings them back again if the weather allows.",
    "ru": "Старый паромщик каждое утро перевозит детей через реку, а вечером привозит их обратно, "
    "если позволяет погода и ветер.",
}


@pytest.mark.parametrize("language", TEXTS)
def test_foreign_texts_are_detected(language):
    foreign = foreign_detector(language)(list(TEXTS.values()))
    assert dict(zip(TEXTS, foreign, strict=True)) == {other: other != language for other in TEXTS}


def test_related_languages_are_not_foreign_to_each_other():
    text = (
        "Den gamle fergemannen tar barna over elva hver morgen, og om kvelden henter han dem "
        "tilbake igjen hvis været tillater det."
    )
    assert not any(foreign_detector(language)([text])[0] for language in ("nb", "nn", "no"))
    assert foreign_detector("fi")([text]) == [True]


def test_short_texts_and_code_are_never_foreign():
    texts = ["Guten Morgen, liebe Leute!", "x = np.zeros((3, 4)); y[:, 0] += x @ z.T " * 5, ""]
    assert foreign_detector("en")([*texts, TEXTS["de"]]) == [False, False, False, True]
    assert foreign_detector("en")([]) == []


@given(st.text(alphabet="ab Zé\u0301ß船.1\n\u00a0़ि", max_size=300))
def test_letters_and_spaces_are_counted_as_unicode_has_them(text):
    letters = len(regex.findall(r"\p{L}", text))
    prose = len(regex.findall(r"[\p{L}\p{M} ]", text))
    assert _is_prose(text) == (letters >= 80 and prose >= 0.6 * len(text))


def test_each_text_is_judged_independently():
    texts = [*TEXTS.values(), "", "Лодка ушла."]
    detect = foreign_detector("de")
    alone = [detect([text])[0] for text in texts]
    assert detect(texts) == alone
    assert detect(texts[::-1]) == alone[::-1]


def test_text_in_capitals_is_identified():
    assert foreign_detector("en")([TEXTS["en"].upper(), TEXTS["de"].upper()]) == [False, True]


def test_text_that_begins_in_another_language_is_read_further():
    text = f"Er sagte: „Ich bin der Fährmann, und du bist es nicht.“ {TEXTS['en']} {TEXTS['en']}"
    assert foreign_detector("en")([text]) == [False]


def test_lone_surrogates_are_no_error():
    assert foreign_detector("en")([f"\ufffd{TEXTS['de']}"]) == [True]


def test_language_unknown_to_the_model_is_not_checked(caplog):
    foreign_detector.cache_clear()
    assert foreign_detector("gsw") is None
    assert "gsw" in caplog.text


def test_codes_of_no_language_are_refused():
    for language in ("en", "sw", "gsw", "yue"):
        check_language_exists(language)
    with pytest.raises(CorpusError, match=r"'xx'.*correct it"):
        check_language_exists("xx")
