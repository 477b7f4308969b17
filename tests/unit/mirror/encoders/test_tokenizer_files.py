from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from mirror.encoders.base_model import check_base
from mirror.encoders.base_settings import check_prompt
from mirror.encoders.encoder import Encoder
from mirror.encoders.tokenizer_files import read_tokenizer
from mirror.errors import TokenizerError
from mirror.tuning_config import TuningSection

TEXTS = ["the baker sells a mirror", "wagon", "the very old red bridge " * 9]


def test_a_tokenizer_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(TokenizerError, match="cannot be read"):
        read_tokenizer(tmp_path)


@pytest.fixture(params=["Fixed", "BatchLongest", "truncation", "both"])
def limited_base(request: pytest.FixtureRequest, tiny_base: Path, tmp_path: Path) -> Path:
    """A base whose `tokenizer.json` has padding or truncation written in, as many published do."""
    base = Path(shutil.copytree(tiny_base, tmp_path / "base"))
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


def test_padding_and_truncation_written_in_a_file_change_nothing(
    limited_base: Path, tiny_base: Path, tmp_path: Path
) -> None:
    check_base(limited_base)
    tuning = TuningSection(
        temperature=0.04,
        mask_length=5,
        epochs=1,
        batch_size=8,
        learning_rate=1e-3,
        max_tokens=12,
        prompt="the {text} is one [MASK]",
        pooling="last",
    )
    check_prompt(limited_base, tuning)
    plain = read_tokenizer(tiny_base)
    for text, encoding in zip(TEXTS, read_tokenizer(limited_base).encode_batch(TEXTS), strict=True):
        assert encoding.ids == plain.encode(text).ids
    encoder, usual = (Encoder.load(base, "mean", 20) for base in (limited_base, tiny_base))
    assert encoder.token_ids(TEXTS) == usual.token_ids(TEXTS)
    encoder.save(tmp_path / "saved")
    saved = Tokenizer.from_file(str(tmp_path / "saved" / "tokenizer.json"))
    assert (saved.padding, saved.truncation) == (None, None)
