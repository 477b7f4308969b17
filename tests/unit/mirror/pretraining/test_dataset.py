"""Tokenized corpus, and the rows drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.errors import CorpusError
from mirror.pretraining.config import PretrainingSettings, find_pretraining
from mirror.pretraining.dataset import (
    ContextRows,
    PackedRows,
    TokenCorpus,
    read_texts,
    read_token_corpus,
    write_token_corpus,
)
from mirror.pretraining.model import train_wordpiece
from mirror.progress import ProgressEvent

PARAGRAPHS = [
    "The miller grinds corn. The baker buys flour! Who eats bread?",
    "A lantern hangs by the gate",
    "Rain falls on the quiet harbour. Boats wait.",
] * 20


@pytest.fixture(scope="module")
def tokenizer():
    return train_wordpiece(PARAGRAPHS, size=300, lowercase=True, max_tokens=32)


@pytest.fixture
def corpus(tokenizer, tmp_path: Path) -> TokenCorpus:
    return write_token_corpus(PARAGRAPHS, tokenizer, tmp_path)


def test_a_reloaded_tokenizer_adds_its_special_tokens(tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    tokens = again.convert_ids_to_tokens(again("The Miller")["input_ids"])
    assert tokens == ["[CLS]", "the", "miller", "[SEP]"]
    assert again.mask_token == "[MASK]"
    assert again.model_max_length == 32


def test_a_separator_follows_each_paragraph(corpus, tokenizer) -> None:
    first, second = corpus.paragraph_starts[:2]
    expected = tokenizer(PARAGRAPHS[0], add_special_tokens=False)["input_ids"]
    assert corpus.tokens[first:second].tolist() == [*expected, tokenizer.sep_token_id]
    assert len(corpus.paragraph_starts) == len(PARAGRAPHS) + 1
    assert corpus.paragraph_starts[-1] == corpus.size


def test_sentences_start_after_full_stops(corpus, tokenizer) -> None:
    starts = corpus.sentence_starts.tolist()
    first = tokenizer.decode(corpus.tokens[starts[0] : starts[1]])
    second = tokenizer.decode(corpus.tokens[starts[1] : starts[2]])
    assert first.startswith("the miller grinds corn")
    assert second.startswith("the baker buys flour")
    assert len(starts) - 1 == 6 * 20


def test_a_written_corpus_is_read_back(corpus, tmp_path: Path) -> None:
    again = read_token_corpus(tmp_path)
    assert np.array_equal(again.tokens, corpus.tokens)
    assert np.array_equal(again.sentence_starts, corpus.sentence_starts)


def test_a_truncated_file_is_refused(corpus, tmp_path: Path) -> None:
    path = tmp_path / "pieces.bin"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(CorpusError, match="is truncated"):
        read_token_corpus(tmp_path)


def test_a_corpus_without_text_is_refused(tokenizer, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no text"):
        write_token_corpus(["", ""], tokenizer, tmp_path)


def test_an_epoch_of_packed_rows_has_each_token_at_most_as_often_as_the_corpus(corpus) -> None:
    rows = PackedRows(corpus, 10, seed=1)
    drawn = np.concatenate([rows.row(number) for number in range(rows.rows_per_epoch)])
    assert drawn.size == rows.rows_per_epoch * 10
    missing = np.bincount(corpus.tokens, minlength=300) - np.bincount(drawn, minlength=300)
    assert missing.min() >= 0
    assert missing.sum() == corpus.size - drawn.size


def test_packed_rows_depend_only_on_their_number(corpus) -> None:
    one, two = PackedRows(corpus, 10, seed=1), PackedRows(corpus, 10, seed=1)
    far = one.rows_per_epoch + 3
    late = one.row(far)
    for number in range(5):
        two.row(number)
    assert np.array_equal(two.row(far), late)
    assert not np.array_equal(PackedRows(corpus, 10, seed=2).row(far), late)


def test_a_corpus_shorter_than_a_row_is_refused(corpus) -> None:
    with pytest.raises(CorpusError, match="less than one row"):
        PackedRows(corpus, corpus.size + 1, seed=1)


def test_words_are_whole_and_their_targets_are_from_their_paragraph(corpus, tokenizer) -> None:
    rows = ContextRows(corpus, tokenizer, threshold=1.0)
    strings, bags = rows.words(np.random.default_rng(0), 50, window=4, targets=6)
    assert bags.shape == (50, 6)
    paragraphs = {tuple(tokenizer(p, add_special_tokens=False)["input_ids"]) for p in PARAGRAPHS}
    for string, bag in zip(strings, bags, strict=True):
        assert not tokenizer.convert_ids_to_tokens(int(string[0])).startswith("##")
        sources = [p for p in paragraphs if _contains(p, tuple(string.tolist()))]
        assert any(set(bag.tolist()) <= set(source) for source in sources)


def test_sentences_are_those_of_the_corpus(corpus, tokenizer) -> None:
    rows = ContextRows(corpus, tokenizer, threshold=1.0)
    strings, bags = rows.sentences(np.random.default_rng(0), 20, max_tokens=30, targets=4)
    texts = {tokenizer.decode(string) for string in strings}
    assert "a lantern hangs by the gate" in texts
    assert bags.shape == (20, 4)
    assert tokenizer.sep_token_id not in np.concatenate(strings)


def test_a_corpus_without_sentences_of_usable_length_is_refused(corpus, tokenizer) -> None:
    rows = ContextRows(corpus, tokenizer, threshold=1.0)
    with pytest.raises(CorpusError, match="sentences_per_step = 0"):
        rows.sentences(np.random.default_rng(0), 2, max_tokens=1, targets=4)


def _contains(whole: tuple[int, ...], part: tuple[int, ...]) -> bool:
    return any(whole[i : i + len(part)] == part for i in range(len(whole)))


def settings_of(*files: Path, exclude_sources: tuple[str, ...] = ()) -> PretrainingSettings:
    changes = {"corpus": [str(file) for file in files], "exclude_sources": exclude_sources}
    return find_pretraining("mirror-mini-en").model_copy(update=changes)


def test_paragraphs_are_read_in_order_without_excluded_sources(tmp_path: Path) -> None:
    texts = [f"paragraph {number}" for number in range(25)]
    sources = ["talk" if number % 5 == 0 else "books" for number in range(25)]
    table = pa.table({"text": [*texts, "", None], "source": [*sources, "books", None]})
    pq.write_table(table, tmp_path / "text.parquet", row_group_size=4)
    events: list[ProgressEvent] = []
    settings = settings_of(tmp_path / "text.parquet", exclude_sources=("talk",))
    paragraphs = list(read_texts(settings, events.append))
    assert paragraphs == [text for number, text in enumerate(texts) if number % 5]
    assert events[-1].done == 27


def test_a_file_without_a_text_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "text.parquet")
    with pytest.raises(CorpusError, match="no column `text`"):
        list(read_texts(settings_of(tmp_path / "text.parquet")))
