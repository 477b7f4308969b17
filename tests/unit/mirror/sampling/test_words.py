import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirror.errors import InputError
from mirror.sampling import words
from mirror.sampling.words import Extra, is_word, word_libraries, word_splitter


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        (
            "en",
            "Don’t touch the WELL-known 'kettle'.",
            ["don't", "touch", "the", "well-known", "kettle"],
        ),
        ("en", "12 rooms, 3,000 chairs -- and 4K", ["rooms", "chairs", "and", "4k"]),
        ("en", "a snake_case name", ["a", "snake", "case", "name"]),
        ("en", "so\u00adfa", ["sofa"]),
        ("de", "Die ÄPFEL der Bäcker-Innung", ["die", "äpfel", "der", "bäcker-innung"]),
        ("de", "a\u0308pfel", ["a\u0308pfel"]),
        ("fr", "L’ami qu'il voit aujourd'hui", ["l'", "ami", "qu'", "il", "voit", "aujourd'hui"]),
        ("it", "dell'acqua e un'altra casa", ["dell'", "acqua", "e", "un'", "altra", "casa"]),
        ("en", "l'eau", ["l'eau"]),
        ("ca", "una col·lecció", ["una", "col·lecció"]),
        ("tr", "ILIK İncir", ["ılık", "incir"]),
        ("en", "ILIK", ["ilik"]),
        ("hi", "नीली किताब मेज़ पर।", ["नीली", "किताब", "मेज़", "पर"]),
        ("fa", "می‌بینم، خانه", ["می‌بینم", "خانه"]),
        ("ar", "بَيْتٌ كبير", ["بَيْتٌ", "كبير"]),
        ("he", "דו״ח קצר", ["דו״ח", "קצר"]),
        ("ru", "Синий кит-великан", ["синий", "кит-великан"]),
        ("ko", "파란 상자가 있다", ["파란", "상자가", "있다"]),
    ],
)
def test_words_of_alphabetic_scripts(language, text, expected):
    assert word_splitter(language)(text) == expected


@pytest.mark.parametrize(
    ("extra", "language", "text", "expected"),
    [
        (
            "jieba",
            "zh",
            "我喜欢蓝色的桌子,PDF文件2020。",
            ["我", "喜欢", "蓝色", "的", "桌子", "pdf", "文件"],
        ),
        (
            "fugashi",
            "ja",
            "青い机の上に本がある。",
            ["青い", "机", "の", "上", "に", "本", "が", "ある"],
        ),
        ("pythainlp", "th", "แมวกินปลา 12 ตัว", ["แมว", "กิน", "ปลา", "ตัว"]),
    ],
)
def test_words_of_scripts_without_spaces(extra, language, text, expected):
    pytest.importorskip(extra)
    assert word_splitter(language)(text) == expected


@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_tokenizers_of_extras_open_no_connection(language, monkeypatch):
    for module in words.EXTRAS[language].modules:
        pytest.importorskip(module)

    def refuse(*_args, **_kwargs):
        raise AssertionError("a tokenizer opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    word_splitter(language)("abc")


def test_chinese_writes_no_cache(monkeypatch, tmp_path):
    pytest.importorskip("jieba")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    word_splitter("zh")("桌子")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("language", ["zh", "ja", "th"])
def test_missing_extra_is_named_with_its_command(language, monkeypatch):
    real = words.EXTRAS[language]
    absent = Extra(
        real.name, real.language, real.distributions, ("no_such_module_here",), real.load
    )
    monkeypatch.setitem(words.EXTRAS, language, absent)
    for use in (word_splitter, word_libraries):
        with pytest.raises(InputError, match=rf"pip install -e \.\[{language}\]") as raised:
            use(language)
        assert "no_such_module_here" in str(raised.value)


def test_language_without_spaces_or_tokenizer_is_refused():
    with pytest.raises(InputError, match=r"Khmer.*split_into = 'lines'"):
        word_splitter("km")


def test_libraries_that_can_change_the_words_are_named():
    assert word_libraries("en") == ("regex",)
    pytest.importorskip("fugashi")
    assert word_libraries("ja") == ("regex", "fugashi", "unidic-lite")


def test_a_word_has_a_letter():
    assert [is_word(text) for text in ("a", "4k", "本", "12", "--", "", "٣")] == [
        True,
        True,
        True,
        False,
        False,
        False,
        False,
    ]


@given(st.text(max_size=200), st.sampled_from(["en", "fr", "tr", "hi"]))
def test_words_of_any_text_are_split_no_further(text, language):
    split = word_splitter(language)
    for word in split(text):
        assert is_word(word)
        assert not any(character.isspace() for character in word)
        assert word[0] not in words.INNER
        assert word[-1] not in words.INNER or language == "fr"
    assert split(" ".join([text, text])) == split(text) * 2
