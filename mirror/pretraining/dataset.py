"""Tokenized corpus for masked language modelling: memory-mapped arrays, and the rows of a step.

Three arrays on disk: the tokens of all paragraphs, the starts of paragraphs and the starts of
sentences.  Rows are drawn by number, so a run that is resumed at step n draws the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from mirror.errors import CorpusError
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.progress import OnProgress, ProgressEvent, no_progress

SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "؟", "।")
READ_ROWS = 5_000
ENCODE_BATCH = 2_000
MIN_TOKENS = 4
EXTRA_WORDS = (0.7, 0.15, 0.15)
"""Probabilities of zero, one and two words after the first in a string of words."""
MAX_TRIES = 1_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenCorpus:
    """Token ids of a corpus, with the index at which each paragraph and each sentence starts.

    Each array of starts ends with the number of tokens.
    """

    tokens: NDArray[np.integer]
    paragraph_starts: Ints
    sentence_starts: Ints

    @property
    def size(self) -> int:
        """The number of tokens."""
        return int(self.tokens.shape[0])


def read_texts(
    settings: PretrainingSettings, on_progress: OnProgress = no_progress
) -> Iterator[str]:
    """Yield the corpus's paragraphs, without those of excluded sources.

    Raises:
        CorpusError: a file has no `text` column.
    """
    done = 0
    for name in settings.corpus:
        path = local_path(name, Path.is_file)
        with pq.ParquetFile(path) as file:
            for batch in _read_batches(file, path):
                for row in batch.to_pylist():
                    source = row.get("source") or ""
                    if row["text"] and not any(part in source for part in settings.exclude_sources):
                        yield row["text"]
                done += batch.num_rows
                on_progress(ProgressEvent("pieces", done, None, "paragraphs"))


def _read_batches(file: pq.ParquetFile, path: Path) -> Iterator[pa.RecordBatch]:
    columns = [column for column in ("text", "source") if column in file.schema_arrow.names]
    if "text" not in columns:
        raise CorpusError(
            f"{path} has no column `text`; it has {file.schema_arrow.names}: rename one"
        )
    # One group at a time: iterating over all groups keeps those that were read in memory.
    for group in range(file.num_row_groups):
        yield from file.iter_batches(READ_ROWS, row_groups=[group], columns=columns)


def write_token_corpus(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, folder: Path
) -> TokenCorpus:
    """Encode paragraphs and write the arrays to an existing folder.

    A separator token follows each paragraph; class tokens are added per row later.
    """
    dtype = np.uint16 if len(tokenizer) <= np.iinfo(np.uint16).max else np.uint32
    vocabulary = tokenizer.get_vocab()
    ends = {vocabulary[end] for end in SENTENCE_ENDS if end in vocabulary}
    paragraph_starts, sentence_starts, size = [0], [0], 0
    with (folder / "pieces.bin").open("wb") as sink:
        for ids in _encode(texts, tokenizer):
            if not ids:
                continue
            row = np.asarray([*ids, tokenizer.sep_token_id], dtype=dtype)
            sink.write(row.tobytes())
            inner = np.flatnonzero(np.isin(row[:-2], list(ends))) + 1
            sentence_starts.extend((size + inner).tolist())
            size += len(row)
            paragraph_starts.append(size)
            sentence_starts.append(size)
    if not size:
        raise CorpusError(
            "the corpus has no text to pretrain on: check `corpus` and `exclude_sources`"
        )
    np.save(folder / "paragraphs.npy", np.asarray(paragraph_starts, dtype=np.int64))
    np.save(folder / "sentences.npy", np.unique(np.asarray(sentence_starts, dtype=np.int64)))
    (folder / "pieces.json").write_text(json.dumps({"dtype": np.dtype(dtype).name, "size": size}))
    return read_token_corpus(folder)


def read_token_corpus(folder: Path) -> TokenCorpus:
    """Map the arrays that `write_token_corpus` wrote."""
    header = json.loads((folder / "pieces.json").read_text())
    tokens = np.memmap(folder / "pieces.bin", dtype=header["dtype"], mode="r")
    if tokens.shape[0] != header["size"]:
        raise CorpusError(f"{folder / 'pieces.bin'} is truncated: delete {folder} and run again")
    return TokenCorpus(
        tokens, np.load(folder / "paragraphs.npy"), np.load(folder / "sentences.npy")
    )


def _encode(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    source = iter(texts)
    while batch := list(islice(source, ENCODE_BATCH)):
        yield from tokenizer(
            batch, add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]


class PackedRows:
    """Rows of `length` tokens, cut from the paragraphs in an order shuffled in each epoch."""

    def __init__(self, corpus: TokenCorpus, length: int, seed: int) -> None:
        self._corpus, self._length, self._seed = corpus, length, seed
        self._sizes = np.diff(corpus.paragraph_starts)
        self._epoch = -1
        self.rows_per_epoch = corpus.size // length
        if not self.rows_per_epoch:
            raise CorpusError(
                f"the corpus has {corpus.size} tokens, less than one row of {length}: add text"
            )

    def _shuffle(self, epoch: int) -> None:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._sizes))
        self._order, self._ends, self._epoch = order, np.cumsum(self._sizes[order]), epoch

    def row(self, number: int) -> Ints:
        """Return row `number`, counted over all epochs."""
        epoch, index = divmod(number, self.rows_per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        start, parts, missing = index * self._length, [], self._length
        index_in_order = int(np.searchsorted(self._ends, start, side="right"))
        while missing:
            paragraph = self._order[index_in_order]
            skipped = start - (self._ends[index_in_order] - self._sizes[paragraph])
            first = self._corpus.paragraph_starts[paragraph] + max(int(skipped), 0)
            end = self._corpus.paragraph_starts[paragraph + 1]
            part = self._corpus.tokens[first:end][:missing]
            parts.append(part)
            missing -= len(part)
            index_in_order += 1
        return np.concatenate(parts).astype(np.int64)


class ContextRows:
    """Short strings, each with target tokens drawn from its context.

    The targets of a sentence are its own tokens and those of its two neighbours; the targets of
    one to three words are the tokens around them.  Frequent tokens are drawn less often by the
    subsampling of word2vec (Mikolov et al. 2013, section 2.3).
    """

    def __init__(
        self, corpus: TokenCorpus, tokenizer: PreTrainedTokenizerBase, threshold: float
    ) -> None:
        self._corpus = corpus
        vocabulary = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = set(tokenizer.all_special_ids)
        self._continues = np.asarray([token.startswith("##") for token in vocabulary])
        letters = [token.removeprefix("##").isalpha() for token in vocabulary]
        counts = np.bincount(corpus.tokens, minlength=len(vocabulary)).astype(np.float64)
        share = counts / counts.sum()
        keep = np.minimum(1.0, np.sqrt(threshold / np.maximum(share, 1e-12)))
        usable = np.asarray(letters) & ~np.isin(np.arange(len(vocabulary)), list(special))
        self._keep = np.where(usable, keep, 0.0)

    def sentences(
        self, rng: np.random.Generator, count: int, max_tokens: int, targets: int
    ) -> tuple[list[Ints], Ints]:
        """Return `count` sentences and an array (count, targets) of tokens in and near each."""
        tokens, starts = self._corpus.tokens, self._corpus.sentence_starts
        strings: list[Ints] = []
        bags: list[Ints] = []
        for _ in range(MAX_TRIES * count):
            if len(strings) == count:
                return strings, np.stack(bags)
            index = int(rng.integers(len(starts) - 1))
            first, last = int(starts[index]), int(starts[index + 1])
            bag = self._draw(rng, tokens[first:last], targets)
            if bag is None or not MIN_TOKENS <= last - first <= max_tokens:
                continue
            low, high = self._paragraph_of(first)
            before = max(int(starts[max(index - 1, 0)]), low)
            after = min(int(starts[min(index + 2, len(starts) - 1)]), high)
            near = self._draw(rng, self._around(before, first, last, after), targets)
            if near is not None:
                bag[: targets // 2] = near[: targets // 2]
            strings.append(np.asarray(tokens[first : min(last, high)], dtype=np.int64))
            bags.append(bag)
        raise CorpusError(
            f"almost no sentence of the corpus has {MIN_TOKENS} to {max_tokens} tokens: "
            "set sentences_per_step = 0"
        )

    def words(
        self, rng: np.random.Generator, count: int, window: int, targets: int
    ) -> tuple[list[Ints], Ints]:
        """Return `count` strings of one to three words and (count, targets) tokens around each."""
        tokens = self._corpus.tokens
        strings: list[Ints] = []
        bags: list[Ints] = []
        for _ in range(MAX_TRIES * count):
            if len(strings) == count:
                return strings, np.stack(bags)
            first = int(rng.integers(self._corpus.size))
            token = int(tokens[first])
            if self._continues[token] or rng.random() > self._keep[token]:
                continue
            low, high = self._paragraph_of(first)
            last = self._end_of_words(first, high, extra=int(rng.choice(3, p=EXTRA_WORDS)))
            around = self._around(max(low, first - window), first, last, min(high, last + window))
            bag = self._draw(rng, around, targets)
            if bag is not None:
                strings.append(tokens[first:last].astype(np.int64))
                bags.append(bag)
        raise CorpusError(
            "almost no word of the corpus has others around it: set words_per_step = 0"
        )

    def _around(self, low: int, first: int, last: int, high: int) -> NDArray[np.integer]:
        tokens = self._corpus.tokens
        return np.concatenate([tokens[low:first], tokens[last : max(last, high)]])

    def _end_of_words(self, first: int, high: int, extra: int) -> int:
        last = self._end_of_word(first, high)
        for _ in range(extra):
            if last < high and self._keep[int(self._corpus.tokens[last])] > 0:
                last = self._end_of_word(last, high)
        return last

    def _paragraph_of(self, position: int) -> tuple[int, int]:
        starts = self._corpus.paragraph_starts
        index = int(np.searchsorted(starts, position, side="right")) - 1
        return int(starts[index]), int(starts[index + 1]) - 1

    def _end_of_word(self, first: int, high: int) -> int:
        last = first + 1
        while last < high and self._continues[int(self._corpus.tokens[last])]:
            last += 1
        return last

    def _draw(self, rng: np.random.Generator, bag: NDArray[np.integer], size: int) -> Ints | None:
        weights = self._keep[bag]
        total = float(weights.sum())
        if total <= 0:
            return None
        return rng.choice(bag, size=size, p=weights / total).astype(np.int64)
