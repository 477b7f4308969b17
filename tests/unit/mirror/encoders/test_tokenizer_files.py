from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tokenizers import AddedToken, Tokenizer

from mirror.encoders.base_model import check_base
from mirror.encoders.base_settings import check_base_for, check_prompt
from mirror.encoders.encoder import Encoder
from mirror.encoders.tokenizer_files import read_tokenizer, special_tokens_of
from mirror.errors import TokenizerError
from tests.fixtures.recipes import make_recipe
from tests.fixtures.tuning import short_tuning

TEXTS = ["the baker sells a mirror", "wagon", "the very old red bridge " * 9]


@pytest.fixture(params=["Fixed", "BatchLongest", "truncation", "both"])
def limited_base(request: pytest.FixtureRequest, base: Path) -> Path:
    """A base whose `tokenizer.json` has padding or truncation written in, as many published do."""
    path = str(base / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    if request.param in ("Fixed", "both"):
        tokenizer.enable_padding(length=32, direction="left")
    if request.param == "BatchLongest":
        tokenizer.enable_padding(pad_to_multiple_of=8)
    if request.param in ("truncation", "both"):
        tokenizer.enable_truncation(6, stride=2)
    tokenizer.save(path)
    return base


@pytest.mark.case("c3")
def test_padding_and_truncation_written_in_a_file_change_nothing(
    limited_base: Path, tiny_base: Path, tmp_path: Path
) -> None:
    check_base(limited_base)
    prompt = "the {text} is one [MASK]"
    check_prompt(limited_base, short_tuning(max_tokens=12, prompt=prompt, pooling="last"))
    plain = read_tokenizer(tiny_base)
    for text, encoding in zip(TEXTS, read_tokenizer(limited_base).encode_batch(TEXTS), strict=True):
        assert encoding.ids == plain.encode(text).ids
    encoder, usual = (Encoder.load(base, "mean", 20) for base in (limited_base, tiny_base))
    assert encoder.token_ids(TEXTS) == usual.token_ids(TEXTS)
    encoder.save(tmp_path / "saved")
    saved = Tokenizer.from_file(str(tmp_path / "saved" / "tokenizer.json"))
    assert (saved.padding, saved.truncation) == (None, None)


def test_a_folder_without_tokenizer_settings_is_read_by_the_names_in_its_tokenizer(
    any_base: Path, tmp_path: Path
) -> None:
    base = Path(shutil.copytree(any_base, tmp_path / "base"))
    (base / "tokenizer_config.json").unlink()
    check_base(base)
    encoder, usual = (Encoder.load(folder, "mean", 20) for folder in (base, any_base))
    assert encoder.token_ids(TEXTS) == usual.token_ids(TEXTS)
    assert special_tokens_of(encoder.tokenizer) == special_tokens_of(usual.tokenizer)
    encoder.save(tmp_path / "saved")
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(theirs.encode(TEXTS), encoder.encode(TEXTS), atol=2e-5)


def test_tokens_of_begin_and_end_take_the_place_of_class_token_and_separator(
    base: Path, tiny_base: Path
) -> None:
    names = {"[CLS]": "<|begin|>", "[SEP]": "<|end|>", "[MASK]": "<|mask|>", "[PAD]": "<|pad|>"}
    text = (base / "tokenizer.json").read_text()
    for old, new in names.items():
        text = text.replace(old, new)
    (base / "tokenizer.json").write_text(text)
    settings = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "unk_token": "[UNK]"}
    (base / "tokenizer_config.json").write_text(
        json.dumps({**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    check_base(base)
    encoder, usual = (Encoder.load(folder, "mean", 20) for folder in (base, tiny_base))
    assert encoder.token_ids(TEXTS) == usual.token_ids(TEXTS)
    masked = encoder.token_ids(["the <|mask|> sells"])[0]
    assert masked.count(encoder.tokenizer.mask_token_id) == 1
    prompted = Encoder.load(base, "last", 20, prompt="the {text} is [MASK]")
    assert prompted.token_ids(["old"])[0][-1] == encoder.tokenizer.mask_token_id


def write_cased_vocabulary(base: Path, vocabulary: dict[str, int]) -> Tokenizer:
    """Give a base capitals in place of some words, and a tokenizer that keeps them."""
    words = {
        word.capitalize() if word.isalpha() and len(word) > 5 else word: number
        for word, number in vocabulary.items()
    }
    content = json.loads((base / "tokenizer.json").read_text())
    content["model"]["vocab"] = words
    content["normalizer"]["lowercase"] = False
    (base / "tokenizer.json").write_text(json.dumps(content))
    return Tokenizer.from_file(str(base / "tokenizer.json"))


@pytest.mark.parametrize("settings", [None, {}, {"tokenizer_class": "BertTokenizer"}])
def test_a_cased_tokenizer_without_settings_stays_cased(
    settings: dict[str, str] | None,
    base: Path,
    vocabulary: dict[str, int],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    written = write_cased_vocabulary(base, vocabulary)
    (base / "tokenizer_config.json").unlink()
    if settings is not None:
        (base / "tokenizer_config.json").write_text(json.dumps(settings))
    check_base(base)
    encoder = Encoder.load(base, "mean", 20)
    texts = ["The Sailor carries a Lantern", "sailor lantern", "Fähre"]
    assert encoder.token_ids(texts) == [written.encode(text).ids for text in texts]
    assert "is read as it is written" in caplog.text
    encoder.save(tmp_path / "saved")
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    np.testing.assert_allclose(theirs.encode(texts), encoder.encode(texts), atol=2e-5)
    assert Encoder.load(tmp_path / "saved").token_ids(texts) == encoder.token_ids(texts)


def test_a_setting_of_case_is_obeyed_whatever_the_file_says(
    base: Path, vocabulary: dict[str, int]
) -> None:
    write_cased_vocabulary(base, vocabulary)
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    (base / "tokenizer_config.json").write_text(json.dumps(settings))
    ids = Encoder.load(base, "mean").token_ids(["The", "the"])
    assert ids[0] == ids[1]


def test_a_vocabulary_with_capitals_alone_is_refused_with_the_line_to_add(
    base: Path, vocabulary: dict[str, int]
) -> None:
    written = write_cased_vocabulary(base, vocabulary)
    words = sorted(written.get_vocab(), key=written.get_vocab().__getitem__)
    (base / "vocab.txt").write_text("\n".join(words) + "\n")
    (base / "tokenizer.json").unlink()
    (base / "tokenizer_config.json").unlink()
    with pytest.raises(TokenizerError, match=r'"do_lower_case": false into tokenizer_config\.json'):
        check_base(base)
    (base / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    check_base(base)


def test_a_vocabulary_of_hangul_alone_is_refused_with_the_line_to_add(
    base: Path, vocabulary: dict[str, int]
) -> None:
    words = [
        f"한국{chr(0xAC00 + number)}" if len(word) > 4 else word
        for number, word in enumerate(vocabulary)
        if not word.startswith("[")
    ]
    special = [word for word in vocabulary if word.startswith("[") and len(word) > 1]
    (base / "vocab.txt").write_text("\n".join([*special, *words]) + "\n")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (base / name).unlink()
    with pytest.raises(TokenizerError, match="a script that lower-casing breaks"):
        check_base(base)
    (base / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    check_base(base)


@pytest.mark.parametrize("place", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("name", ["BertJapaneseTokenizer", "PhobertTokenizer"])
def test_a_tokenizer_in_python_only_is_refused_by_its_class(
    name: str, place: str, base: Path
) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (base / file).unlink()
    (base / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    path = base / place
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**content, "tokenizer_class": name}))
    with pytest.raises(TokenizerError, match=f"{name}, which transformers has in Python only"):
        check_base(base)
    with pytest.raises(TokenizerError, match="cannot be used"):
        Encoder.load(base, "cls")


def test_added_tokens_that_are_equal_once_normalized_have_the_same_ids_in_every_load(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers import AutoModelForMaskedLM

    path = str(base / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    names = [f"{word}{number}" for number in range(20) for word in ("zebra", "ZEBRA", "Zébra")]
    tokenizer.add_tokens([AddedToken(name, normalized=True) for name in names])
    tokenizer.save(path)
    model = AutoModelForMaskedLM.from_pretrained(base)
    model.resize_token_embeddings(tokenizer.get_vocab_size())
    model.save_pretrained(base)
    check_base(base)
    assert "40 added tokens of the tokenizer" in caplog.text
    assert "such as 'ZEBRA0' to 'zebra0'" in caplog.text
    ids = [tokenizer.token_to_id(name) for name in names]
    tuned = tmp_path / "tuned"
    Encoder.load(base, "cls").save(tuned)
    for _ in range(4):
        for encoder in (Encoder.load(base, "cls"), Encoder.load(tuned)):
            rows = encoder.token_ids([*names, "zEBRA0"])
            assert [row[1:-1] for row in rows] == [[number] for number in [*ids, ids[0]]]
        theirs = SentenceTransformer(str(tuned), device="cpu").tokenizer(names)["input_ids"]
        assert [row[1] for row in theirs] == ids


def test_lower_casing_that_makes_words_unknown_is_warned_of(
    base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = json.loads((base / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = False
    content["model"]["vocab"] = {
        "한국어" if word == "basket" else word: number
        for word, number in content["model"]["vocab"].items()
    }
    (base / "tokenizer.json").write_text(json.dumps(content))
    (base / "tokenizer_config.json").write_text('{"do_lower_case": false}')
    check_base_for(make_recipe(tuning={"lowercase": False, "max_tokens": 50}), base)
    assert not caplog.messages
    check_base_for(make_recipe(tuning={"lowercase": True, "max_tokens": 50}), base)
    assert "of the words of the vocabulary" in caplog.text
    assert "and 0% without" in caplog.text
