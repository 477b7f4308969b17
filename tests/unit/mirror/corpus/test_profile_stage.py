"""Profile stage: the same draw everywhere, word pieces of the base model."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from mirror.corpus import profile_stage
from mirror.corpus.profile import pieces_per_word, read_profile, unknown_share
from mirror.corpus.profile_stage import profile_corpus
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoreError
from mirror.store import StageRecord, Store
from tests.fixtures.corpora import rows_of, write_corpus


@pytest.fixture
def base(tiny_base: Path) -> EncoderRef:
    return EncoderRef(str(tiny_base), "b" * 64, "a test")


def test_each_different_string_is_counted_once_with_the_bases_pieces(tmp_path, store, base) -> None:
    texts = ["the baker sells one mirror", "zebra", "the baker sells one mirror", "日本"]
    profile = read_profile(
        profile_corpus(write_corpus(tmp_path / "c", rows_of(texts)), base, store)
    )
    assert profile.strings == 3
    assert profile.sketch == tuple(
        sorted(hashlib.md5(text.encode()).hexdigest()[:16] for text in set(texts))
    )
    assert profile.pieces == {
        **dict.fromkeys(("the", "baker", "sells", "one", "mirror"), 1),
        **{"z": 1, "##e": 1, "##b": 1, "##r": 1, "##a": 1, "[UNK]": 2},
    }
    assert profile.words == 5 + 1 + 2  # each Chinese character is a word to BERT
    assert profile.unknown == 2
    assert unknown_share(profile) == 2 / 12
    assert pieces_per_word(profile) == 12 / 8
    assert profile.lengths == {"0": 2, "20": 1}


def test_the_lowest_hashes_are_drawn_however_the_corpus_is_split(
    tmp_path, base, sentences, monkeypatch
) -> None:
    monkeypatch.setattr(profile_stage, "SKETCH", 50)
    profiles = [
        read_profile(
            profile_corpus(
                write_corpus(tmp_path / f"c{parts}", rows_of(sentences), parts),
                base,
                Store(tmp_path / f"w{parts}"),
            )
        )
        for parts in (1, 3)
    ]
    assert profiles[0] == profiles[1]
    hashes = sorted(hashlib.md5(text.encode()).hexdigest() for text in sentences)
    assert list(profiles[0].sketch) == [digest[:16] for digest in hashes[:50]]
    assert profiles[0].strings == 400
    assert sum(profiles[0].lengths.values()) == 50


def test_a_profile_is_reused_until_corpus_or_base_changes(tmp_path, store, base) -> None:
    corpus = write_corpus(tmp_path / "c", rows_of(["one", "two"]))
    assert not profile_corpus(corpus, base, store).reused
    assert profile_corpus(corpus, base, store).reused
    other = EncoderRef(base.folder, "c" * 64, base.origin)
    assert not profile_corpus(corpus, other, store).reused


def test_a_corpus_without_parts_is_refused(tmp_path, store, base) -> None:
    (tmp_path / "c").mkdir()
    with pytest.raises(StoreError, match="no strings in"):
        profile_corpus(StageRecord("corpus", "k", str(tmp_path / "c"), "d"), base, store)
