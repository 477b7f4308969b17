"""A corpus as one array of word pieces, for masked language modelling.

Three arrays on disk, memory-mapped: the pieces of all paragraphs one after the other, where each
paragraph starts, and where each sentence starts. Rows are drawn from them by number, so that a
pretraining run that is resumed at step n draws what it would have drawn.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from mirror.errors import CorpusError

SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "؟", "।")
ENCODE_BATCH = 2_000
MIN_PIECES = 4
MORE_WORDS = (0.7, 0.15, 0.15)
"""How often a string of words has none, one or two words beside the first."""
TRIES = 1_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class TokenCorpus:
    """Word pieces of a corpus. `starts[i]` is the place in `pieces` where unit i starts; each list
    of starts has one entry more than there are units, the length of `pieces`.
    """

    pieces: NDArray[np.integer]
    paragraph_starts: Ints
    sentence_starts: Ints

    @property
    def size(self) -> int:
        """How many word pieces there are."""
        return int(self.pieces.shape[0])


def write_token_corpus(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, folder: Path
) -> TokenCorpus:
    """Encodes the paragraphs and writes the arrays to `folder`, which must exist.

    A separator follows every paragraph; no class token is stored.

    Raises:
        CorpusError: there was no text.
    """
    dtype = np.uint16 if len(tokenizer) <= np.iinfo(np.uint16).max else np.uint32
    vocabulary = tokenizer.get_vocab()
    ends = {vocabulary[mark] for mark in SENTENCE_ENDS if mark in vocabulary}
    paragraph_starts, sentence_starts, size = [0], [0], 0
    with (folder / "pieces.bin").open("wb") as sink:
        for ids in _encoded(texts, tokenizer):
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
        raise CorpusError("the corpus holds no text to pretrain on: check the sources")
    np.save(folder / "paragraphs.npy", np.asarray(paragraph_starts, dtype=np.int64))
    np.save(folder / "sentences.npy", np.unique(np.asarray(sentence_starts, dtype=np.int64)))
    (folder / "pieces.json").write_text(json.dumps({"dtype": np.dtype(dtype).name, "size": size}))
    return read_token_corpus(folder)


def read_token_corpus(folder: Path) -> TokenCorpus:
    """Maps the arrays that `write_token_corpus` wrote."""
    about = json.loads((folder / "pieces.json").read_text())
    pieces = np.memmap(folder / "pieces.bin", dtype=about["dtype"], mode="r")
    if pieces.shape[0] != about["size"]:
        raise CorpusError(f"{folder / 'pieces.bin'} is cut short: delete {folder} and run again")
    return TokenCorpus(
        pieces, np.load(folder / "paragraphs.npy"), np.load(folder / "sentences.npy")
    )


def _encoded(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    source = iter(texts)
    while batch := list(islice(source, ENCODE_BATCH)):
        yield from tokenizer(
            batch, add_special_tokens=False, return_attention_mask=False, verbose=False
        )["input_ids"]


class PackedRows:
    """Rows of `length` pieces, cut from all paragraphs in an order shuffled anew each epoch."""

    def __init__(self, corpus: TokenCorpus, length: int, seed: int) -> None:
        self._corpus, self._length, self._seed = corpus, length, seed
        self._sizes = np.diff(corpus.paragraph_starts)
        self._epoch = -1
        self.rows_per_epoch = corpus.size // length
        if not self.rows_per_epoch:
            raise CorpusError(
                f"the corpus holds {corpus.size} word pieces, less than one row of {length}"
            )

    def _shuffle(self, epoch: int) -> None:
        order = np.random.default_rng([self._seed, epoch]).permutation(len(self._sizes))
        self._order, self._ends, self._epoch = order, np.cumsum(self._sizes[order]), epoch

    def row(self, number: int) -> Ints:
        """Row `number`, counted over all epochs."""
        epoch, index = divmod(number, self.rows_per_epoch)
        if epoch != self._epoch:
            self._shuffle(epoch)
        start, parts, missing = index * self._length, [], self._length
        place = int(np.searchsorted(self._ends, start, side="right"))
        while missing:
            paragraph = self._order[place]
            skipped = start - (self._ends[place] - self._sizes[paragraph])
            first = self._corpus.paragraph_starts[paragraph] + max(int(skipped), 0)
            part = self._corpus.pieces[first : self._corpus.paragraph_starts[paragraph + 1]][
                :missing
            ]
            parts.append(part)
            missing -= len(part)
            place += 1
        return np.concatenate(parts).astype(np.int64)


class ContextRows:
    """Short strings with a bag of pieces that stand in or around each of them.

    A string is either a sentence, whose targets are its own pieces and those of the sentences
    beside it, or one to three words, whose targets are the pieces around them.  Frequent pieces
    are drawn less often, by word2vec's rule (Mikolov et al. 2013, section 2.3).
    """

    def __init__(
        self, corpus: TokenCorpus, tokenizer: PreTrainedTokenizerBase, threshold: float
    ) -> None:
        self._corpus = corpus
        vocabulary = tokenizer.convert_ids_to_tokens(list(range(len(tokenizer))))
        special = set(tokenizer.all_special_ids)
        self._continues = np.asarray([piece.startswith("##") for piece in vocabulary])
        letters = [piece.removeprefix("##").isalpha() for piece in vocabulary]
        counts = np.bincount(corpus.pieces, minlength=len(vocabulary)).astype(np.float64)
        share = counts / counts.sum()
        keep = np.minimum(1.0, np.sqrt(threshold / np.maximum(share, 1e-12)))
        usable = np.asarray(letters) & ~np.isin(np.arange(len(vocabulary)), list(special))
        self._keep = np.where(usable, keep, 0.0)

    def sentences(
        self, rng: np.random.Generator, count: int, max_pieces: int, targets: int
    ) -> tuple[list[Ints], Ints]:
        """`count` sentences and an array (count, targets) of pieces in or beside each.

        Raises:
            CorpusError: hardly any sentence has a usable length.
        """
        pieces, starts = self._corpus.pieces, self._corpus.sentence_starts
        strings: list[Ints] = []
        bags: list[Ints] = []
        for _ in range(TRIES * count):
            if len(strings) == count:
                return strings, np.stack(bags)
            index = int(rng.integers(len(starts) - 1))
            first, last = int(starts[index]), int(starts[index + 1])
            own = self._draw(rng, pieces[first:last], targets)
            if own is None or not MIN_PIECES <= last - first <= max_pieces:
                continue
            low, high = self._paragraph_of(first)
            before = max(int(starts[max(index - 1, 0)]), low)
            after = min(int(starts[min(index + 2, len(starts) - 1)]), high)
            beside = self._draw(rng, self._around(before, first, last, after), targets)
            if beside is not None:
                own[: targets // 2] = beside[: targets // 2]
            strings.append(np.asarray(pieces[first : min(last, high)], dtype=np.int64))
            bags.append(own)
        raise CorpusError(
            f"hardly any sentence of the corpus has {MIN_PIECES} to {max_pieces} pieces: "
            "set sentences_per_step = 0"
        )

    def words(
        self, rng: np.random.Generator, count: int, window: int, targets: int
    ) -> tuple[list[Ints], Ints]:
        """`count` strings of one to three words and (count, targets) pieces around each.

        Raises:
            CorpusError: hardly any word has others around it.
        """
        pieces = self._corpus.pieces
        strings: list[Ints] = []
        bags: list[Ints] = []
        for _ in range(TRIES * count):
            if len(strings) == count:
                return strings, np.stack(bags)
            place = int(rng.integers(self._corpus.size))
            piece = int(pieces[place])
            if self._continues[piece] or rng.random() > self._keep[piece]:
                continue
            low, high = self._paragraph_of(place)
            last = self._end_of_words(place, high, more=int(rng.choice(3, p=MORE_WORDS)))
            around = self._around(max(low, place - window), place, last, min(high, last + window))
            bag = self._draw(rng, around, targets)
            if bag is not None:
                strings.append(pieces[place:last].astype(np.int64))
                bags.append(bag)
        raise CorpusError(
            "hardly any word of the corpus stands among others: set words_per_step = 0"
        )

    def _around(self, low: int, first: int, last: int, high: int) -> NDArray[np.integer]:
        pieces = self._corpus.pieces
        return np.concatenate([pieces[low:first], pieces[last : max(last, high)]])

    def _end_of_words(self, place: int, high: int, more: int) -> int:
        last = self._end_of_word(place, high)
        for _ in range(more):
            if last < high and self._keep[int(self._corpus.pieces[last])] > 0:
                last = self._end_of_word(last, high)
        return last

    def _paragraph_of(self, place: int) -> tuple[int, int]:
        starts = self._corpus.paragraph_starts
        index = int(np.searchsorted(starts, place, side="right")) - 1
        return int(starts[index]), int(starts[index + 1]) - 1

    def _end_of_word(self, place: int, high: int) -> int:
        last = place + 1
        while last < high and self._continues[int(self._corpus.pieces[last])]:
            last += 1
        return last

    def _draw(self, rng: np.random.Generator, bag: NDArray[np.integer], size: int) -> Ints | None:
        weights = self._keep[bag]
        total = float(weights.sum())
        if total <= 0:
            return None
        return rng.choice(bag, size=size, p=weights / total).astype(np.int64)
