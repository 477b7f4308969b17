"""Bases whose tokenizer does not know the text's language (case c9 of issue 14)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models

from mirror.corpus.profile_stage import measure_profile, profile_corpus
from mirror.corpus.vocabulary_fit import check_vocabulary, fits_badly, weighted_characters
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BaseModelError
from mirror.log_once import warn_once
from mirror.recipe import Recipe
from mirror.release.notices import profile_notices
from mirror.store import Store
from tests.fixtures.corpora import rows_of, write_corpus
from tests.fixtures.recipes import make_recipe

pytestmark = pytest.mark.case("c9")

THAI = "วันนี้อากาศดีมากเราไปเดินเล่นที่สวนสาธารณะ"


@pytest.fixture(autouse=True)
def _warnings_are_new() -> None:
    warn_once.cache_clear()


def recipe(**base: Any) -> Recipe:
    return make_recipe(base={"path": "models/none", **base})


def counts_of(texts: Sequence[str], base: Path, tmp_path: Path, store: Store) -> dict[str, Any]:
    corpus = write_corpus(tmp_path / "corpus", rows_of(texts))
    return dict(profile_corpus(corpus, EncoderRef(str(base), "b" * 64, "a base"), store).counts)


def test_thai_with_an_english_base_is_refused_before_tuning(
    tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    counts = counts_of([f"{THAI} {n}" for n in range(200)], tiny_base, tmp_path, store)
    message = (
        r"tokenizer of a base does not fit the text of en-trades: \d\d% of it is unknown"
        r".* pieces a character.* set base\.any_vocabulary to true"
    )
    with pytest.raises(BaseModelError, match=message):
        check_vocabulary(recipe(), counts, "a base")


def test_a_recipe_may_insist(
    tiny_base: Path, tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    counts = counts_of([THAI], tiny_base, tmp_path, store)
    check_vocabulary(recipe(any_vocabulary=True), counts, "a base")
    assert "which base.any_vocabulary accepts" in caplog.text
    [notice] = profile_notices(counts)
    assert notice.name == "vocabulary"


def test_text_of_the_bases_words_passes_without_a_word(
    tiny_base: Path,
    tmp_path: Path,
    store: Store,
    sentences: list[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = counts_of(sentences, tiny_base, tmp_path, store)
    check_vocabulary(recipe(), counts, "a base")
    assert not caplog.records
    assert "vocabulary" not in [notice.name for notice in profile_notices(counts)]


def test_text_that_is_split_into_letters_is_refused(
    tiny_base: Path, tmp_path: Path, store: Store
) -> None:
    counts = counts_of(["przykładowe zdanie bez znanych wyrazow"], tiny_base, tmp_path, store)
    assert counts["pieces_per_character"] > 0.7
    with pytest.raises(BaseModelError, match=r"with 1\.00 pieces a character"):
        check_vocabulary(
            recipe(), {**counts, "unknown_characters": 0.0, "pieces_per_character": 1.0}, "a base"
        )


@pytest.mark.parametrize(
    ("unknown", "pieces", "outcome"),
    [
        (0.03, 0.75, ""),  # the least fitting tokenizers in a language they were made for
        (0.0, 0.63, ""),  # Chinese characters in a Chinese BERT
        (0.06, 0.3, "warned"),
        (0.0, 0.82, "warned"),
        (0.3, 0.3, "refused"),
        (0.0, 0.94, "refused"),  # Arabic in an English BERT
        (0.0, 1.95, "refused"),  # Hindi in RoBERTa
    ],
)
def test_the_bounds_are_between_what_was_measured(
    unknown: float, pieces: float, outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    counts = {"unknown_characters": unknown, "pieces_per_character": pieces, "pieces_per_word": 3.0}
    if outcome == "refused":
        with pytest.raises(BaseModelError):
            check_vocabulary(recipe(), counts, "a base")
    else:
        check_vocabulary(recipe(), counts, "a base")
        assert bool(caplog.records) == (outcome == "warned") == fits_badly(counts)


def test_chinese_characters_and_syllables_count_as_several_letters() -> None:
    assert weighted_characters(["a b\tc"]) == 3
    assert weighted_characters(["天気", "가", "ね"]) == pytest.approx(4 * 1.6)


def test_unknown_pieces_of_a_unigram_model_are_counted() -> None:
    pieces = [("<unk>", 0.0), ("a", -1.0), ("b", -1.0)]
    profile = measure_profile(1, [("0" * 16, "abz")], Tokenizer(models.Unigram(pieces, unk_id=0)))
    assert profile.unknown == 1
    assert sum(profile.pieces.values()) == 3


def test_another_base_from_the_command_line_keeps_the_setting(tiny_base: Path) -> None:
    from mirror.encoders.base_model import choose_base

    assert choose_base(recipe(any_vocabulary=True), str(tiny_base)).base.any_vocabulary
