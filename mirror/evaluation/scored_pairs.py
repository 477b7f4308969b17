"""Scored text pairs: the keys and file formats of similarity and classification benchmarks."""

from __future__ import annotations

import csv
import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import model_validator

from mirror.config_base import Section
from mirror.documents import is_empty_cell
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Benchmark
from mirror.evaluation.datasets import find_file, local_table, read_lines
from mirror.evaluation.metrics import Predictions, cosines, statistic_of
from mirror.evaluation.result import BenchmarkResult, TextEncoder, make_result
from mirror.run_data import RunData

log = logging.getLogger(__name__)

MAX_SCORE_DIFFERENCE = 1 / 5
"""Share of the scale by which two languages' scores of a pair must differ less."""


class Columns(Section):
    """A table's columns: names in the header, or numbers from 0 in a table without a header."""

    first: str | int = "sentence1"
    second: str | int = "sentence2"
    score: str | int = "score"


@dataclass(frozen=True)
class Pair:
    """Two texts with their gold score."""

    first: str
    second: str
    gold: float
    """A human score, or 1 for pairs that match and 0 for others."""
    subset: str = ""


class PairBenchmark(Benchmark):
    """Base class of the kinds whose items are scored pairs of texts."""

    FILE_COUNT = None
    LIBRARIES = ("scipy",)

    format: Literal["table", "semeval", "multisimlex"] = "table"
    """table: TSV without quoting; semeval: for each subset a file of pairs and one of scores."""
    scale: tuple[float, float] | None = None
    """Lowest and highest gold score; a score outside is an error of the file."""
    columns: Columns = Columns()
    column: str | None = None
    """multisimlex: the language's column."""
    second_column: str | None = None
    """multisimlex: the column of the second language, for pairs across two languages."""
    labels: tuple[str, str] | None = None
    """classification: the label of pairs that do not match, then of those that do."""
    pairs: int | None = None
    """Expected number of scored pairs."""

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.format == "multisimlex" and (self.column is None or len(self.files) != 2):
            raise ValueError("format multisimlex needs `column`, two `files`: words, then scores")
        if self.format == "semeval" and (not self.files or len(self.files) % 2):
            raise ValueError(
                "format semeval needs `files` two by two: pairs, then their scores, of each subset"
            )
        if self.second_column is not None and self.scale is None:
            raise ValueError("pairs across two languages need `scale`")
        return self

    def load(self, run: RunData | None) -> tuple[Pair, ...]:
        """Return the pairs; see `load_pairs`."""
        return load_pairs(self)

    def score(
        self, encoder: TextEncoder, data: Any, second: TextEncoder | None = None
    ) -> BenchmarkResult:
        """Return the kind's metric of the pairs' cosines against their gold scores."""
        pairs: tuple[Pair, ...] = data
        texts = list(dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second)))
        rows = dict(zip(texts, encoder.encode(texts), strict=True))
        sides = [[rows[pair.first] for pair in pairs], [rows[pair.second] for pair in pairs]]
        gold = np.asarray([pair.gold for pair in pairs])
        subsets = tuple(pair.subset for pair in pairs)
        predictions = Predictions(
            subsets, cosines(*map(np.stack, sides)), gold, statistic_of(self.METRIC)
        )
        return make_result(self, predictions)


def load_pairs(benchmark: PairBenchmark) -> tuple[Pair, ...]:
    """Return the scored pairs of a benchmark, in the order of its files.

    Raises:
        BenchmarkError: a file or column is missing, a score is not a number or outside the scale,
            or the number of pairs is not the declared one.
    """
    match benchmark.format:
        case "table":
            pairs = tuple(_table_pairs(benchmark))
        case "semeval":
            pairs = tuple(_semeval_pairs(benchmark))
        case "multisimlex" if benchmark.second_column is not None:
            pairs = tuple(_pairs_across(benchmark, benchmark.second_column))
        case "multisimlex":
            pairs = tuple(_multisimlex_pairs(benchmark, str(benchmark.column)))
    if not pairs:
        raise BenchmarkError(f"{benchmark.name} holds no scored pair: check its files")
    if len(pairs) > 1 and len({pair.gold for pair in pairs}) == 1:
        raise BenchmarkError(
            f"all {len(pairs)} gold scores of {benchmark.name} are {pairs[0].gold:g}, so no "
            "encoder can be compared with them: check its files and the column of scores"
        )
    if benchmark.pairs is not None and len(pairs) != benchmark.pairs:
        raise BenchmarkError(
            f"{benchmark.name} holds {len(pairs)} scored pairs and declares {benchmark.pairs}: "
            "its files or its definition are wrong"
        )
    return pairs


def _table_pairs(benchmark: PairBenchmark) -> Iterator[Pair]:
    if benchmark.file is not None:
        paths = [local_table(benchmark)]
    else:
        paths = [find_file(benchmark, file) for file in benchmark.files]
    for path in paths:
        yield from _pairs_of_table(benchmark, path)


def _pairs_of_table(benchmark: PairBenchmark, path: Path) -> Iterator[Pair]:
    rows = [line.split("\t") for line in read_lines(path)]
    columns = benchmark.columns
    names = (columns.first, columns.second, columns.score)
    if all(isinstance(column, int) for column in names):
        header: Sequence[str] = ()
    else:
        header, rows = (rows[0] if rows else ()), rows[1:]
    first, second, score = (_index(column, header, path) for column in names)
    empty = 0
    for number, row in enumerate(rows, 2 if header else 1):
        if row == [""]:
            continue
        if len(row) <= max(first, second, score):
            raise BenchmarkError(
                f"{path}, line {number} has {len(row)} fields, separated by tabs; "
                f"{max(first, second, score) + 1} are needed"
            )
        where = f"{path}, line {number}"
        if benchmark.file and not all(row[column].strip() for column in (first, second)):
            raise BenchmarkError(f"{where} has a pair without a text: complete or remove it")
        empty += any(is_empty_cell(row[column].strip()) for column in (first, second))
        yield Pair(row[first], row[second], _gold(row[score], benchmark, where))
    if empty > 1:
        log.warning(
            "%s: %d pairs have the text of an empty cell, such as 'nan', and are scored: remove "
            "them if they are none",
            path,
            empty,
        )


def _index(column: str | int, header: Sequence[str], path: Path) -> int:
    if isinstance(column, int):
        return column
    if column not in header:
        has = ", ".join(header) or "no field"
        raise BenchmarkError(
            f"{path} has no column {column!r}; its first line has {has}: name the columns in "
            "[columns], or give the file a header, separated by tabs"
        )
    return list(header).index(column)


def _semeval_pairs(benchmark: PairBenchmark) -> Iterator[Pair]:
    for pairs_file, gold_file in zip(benchmark.files[::2], benchmark.files[1::2], strict=True):
        path, gold_path = find_file(benchmark, pairs_file), find_file(benchmark, gold_file)
        subset = path.name.split(".input.")[-1].removesuffix(".txt")
        texts, scores = read_lines(path), read_lines(gold_path)
        if len(texts) != len(scores):
            raise BenchmarkError(
                f"{path} has {len(texts)} pairs and {gold_path} {len(scores)} scores"
            )
        for number, (line, gold) in enumerate(zip(texts, scores, strict=True), 1):
            if gold.strip():  # a blank line: the pair has no score
                fields = line.split("\t")
                if len(fields) < 2:
                    raise BenchmarkError(
                        f"{path}, line {number} has no tab: write two texts with a tab between them"
                    )
                score = _gold(gold, benchmark, f"{gold_path}, line {number}")
                yield Pair(fields[0], fields[1], score, subset)


def _multisimlex_pairs(benchmark: PairBenchmark, column: str) -> Iterator[Pair]:
    for row in _multisimlex_rows(benchmark, (column,)):
        first, second = row.words[column]
        if first and second:
            yield Pair(first, second, row.scores[column], row.kind)


def _pairs_across(benchmark: PairBenchmark, second_column: str) -> Iterator[Pair]:
    """Yield pairs of words across two languages, from one pair of concepts in both.

    Each pair of concepts gives two pairs: the first word of one language with the second word of
    the other.  Their score is the mean of both languages' scores.  Pairs whose scores differ by a
    fifth of the scale or more, and repeated pairs, are left out.
    """
    low, high = benchmark.scale or (0.0, 1.0)
    limit = round((high - low) * MAX_SCORE_DIFFERENCE, 9)
    columns = (str(benchmark.column), second_column)
    seen = set()
    for row in _multisimlex_rows(benchmark, columns):
        (a1, a2), (b1, b2) = (row.words[column] for column in columns)
        score_a, score_b = (row.scores[column] for column in columns)
        if round(abs(score_a - score_b), 9) >= limit:
            continue
        for pair in ((a1, b2), (a2, b1)):
            if all(pair) and pair not in seen:
                seen.add(pair)
                yield Pair(*pair, (score_a + score_b) / 2, row.kind)


@dataclass(frozen=True)
class _ConceptPair:
    kind: str
    words: Mapping[str, tuple[str, str]]
    scores: Mapping[str, float]


def _multisimlex_rows(benchmark: PairBenchmark, columns: Sequence[str]) -> Iterator[_ConceptPair]:
    words_path, scores_path = (find_file(benchmark, file) for file in benchmark.files)
    words, scores = (list(csv.DictReader(read_lines(path))) for path in (words_path, scores_path))
    word_columns = [f"{column} {number}" for column in columns for number in (1, 2)]
    for required, rows, path in (
        (("ID", "POS", *word_columns), words, words_path),
        (("ID", *columns), scores, scores_path),
    ):
        for name in required:
            if not rows or name not in rows[0]:
                raise BenchmarkError(f"{path} has no column {name!r}: correct it, or `column`")
        for number, row in enumerate(rows, 1):
            if short := [name for name in required if row[name] is None]:
                raise BenchmarkError(
                    f"{path}, pair {number} has no {short[0]!r}: its line has too few fields"
                )
    if len(words) != len(scores):
        raise BenchmarkError(
            f"{words_path} has {len(words)} pairs and {scores_path} {len(scores)} scores"
        )
    for pair, score in zip(words, scores, strict=True):
        if pair["ID"] != score["ID"]:
            raise BenchmarkError(f"{words_path} and {scores_path} differ at pair {pair['ID']}")
        where = f"{scores_path}, pair {pair['ID']}"
        yield _ConceptPair(
            pair["POS"],
            {column: (pair[f"{column} 1"], pair[f"{column} 2"]) for column in columns},
            {column: _gold(score[column], benchmark, where) for column in columns},
        )


def _gold(text: str, benchmark: PairBenchmark, where: str) -> float:
    if benchmark.labels is not None:
        if text not in benchmark.labels:
            known = " and ".join(benchmark.labels)
            raise BenchmarkError(f"{where}: the label {text!r} is not one of {known}")
        return float(benchmark.labels.index(text))
    try:
        gold = float(text)
    except ValueError:
        gold = math.nan
    if not math.isfinite(gold):
        raise BenchmarkError(f"{where}: the score {text!r} is not a number: correct or remove it")
    low, high = benchmark.scale or (-math.inf, math.inf)
    if not low <= gold <= high:
        raise BenchmarkError(
            f"{where}: the score {gold} is not between {low} and {high}: correct it, or `scale`"
        )
    return gold
