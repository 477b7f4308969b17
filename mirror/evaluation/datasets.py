"""Reads the pairs of a similarity or classification benchmark.

Lines end at a line feed alone: several of these files hold other characters that Python's own
`splitlines` would split at, and quotes that are only quotes.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition, find_file, own_file

LARGEST_DIFFERENCE = 1 / 5
"""Share of the scale by which two languages' scores of a pair must differ less."""


@dataclass(frozen=True)
class Pair:
    """Two texts, and how alike people find them."""

    first: str
    second: str
    gold: float
    """People's score; 1 for pairs that match and 0 for others where they gave labels."""
    subset: str = ""


def load_pairs(definition: Definition) -> tuple[Pair, ...]:
    """The scored pairs of a benchmark, in the order of its files.

    Raises:
        BenchmarkError: a file is missing, has no such column, or holds a score that is no number
            or off the scale; or the number of pairs is not the declared one.
    """
    match definition.format:
        case "table":
            pairs = tuple(_table_pairs(definition))
        case "semeval":
            pairs = tuple(_semeval_pairs(definition))
        case "multisimlex" if definition.second_column is not None:
            pairs = tuple(_pairs_across(definition, definition.second_column))
        case "multisimlex":
            pairs = tuple(_multisimlex_pairs(definition, str(definition.column)))
    if not pairs:
        raise BenchmarkError(f"{definition.name} holds no scored pair: check its files")
    if definition.pairs is not None and len(pairs) != definition.pairs:
        raise BenchmarkError(
            f"{definition.name} holds {len(pairs)} scored pairs and declares {definition.pairs}: "
            "its files or its definition are wrong"
        )
    return pairs


def read_lines(path: Path) -> list[str]:
    """A file's lines, without line feeds and carriage returns.

    Raises:
        BenchmarkError: it is not UTF-8.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchmarkError(f"{path} is not UTF-8 ({error}): convert it") from error
    lines = [line.rstrip("\r") for line in text.split("\n")]
    return lines[:-1] if lines and not lines[-1] else lines


def _table_pairs(definition: Definition) -> Iterator[Pair]:
    if definition.file is not None:
        places = [own_file(definition)]
    else:
        places = [find_file(definition, file) for file in definition.files]
    for path in places:
        yield from _pairs_of_table(definition, path)


def _pairs_of_table(definition: Definition, path: Path) -> Iterator[Pair]:
    rows = [line.split("\t") for line in read_lines(path)]
    columns = definition.columns
    wanted = (columns.first, columns.second, columns.score)
    if all(isinstance(column, int) for column in wanted):
        header: Sequence[str] = ()
    else:
        header, rows = (rows[0] if rows else ()), rows[1:]
    first, second, score = (_index(column, header, path) for column in wanted)
    for number, row in enumerate(rows, 2 if header else 1):
        if row == [""]:
            continue
        if len(row) <= max(first, second, score):
            raise BenchmarkError(
                f"{path}, line {number} has {len(row)} fields, separated by tabs; "
                f"{max(first, second, score) + 1} are needed"
            )
        gold = _gold(row[score], definition, f"{path}, line {number}")
        yield Pair(row[first], row[second], gold)


def _index(column: str | int, header: Sequence[str], path: Path) -> int:
    if isinstance(column, int):
        return column
    if column not in header:
        has = ", ".join(header) or "nothing"
        raise BenchmarkError(
            f"{path} has no column {column!r}; its first line has {has}: name the columns in "
            "[columns], or give the file a header, separated by tabs"
        )
    return list(header).index(column)


def _semeval_pairs(definition: Definition) -> Iterator[Pair]:
    for pairs_file, gold_file in zip(definition.files[::2], definition.files[1::2], strict=True):
        path, gold_path = find_file(definition, pairs_file), find_file(definition, gold_file)
        subset = path.name.split(".input.")[-1].removesuffix(".txt")
        texts, scores = read_lines(path), read_lines(gold_path)
        if len(texts) != len(scores):
            raise BenchmarkError(
                f"{path} has {len(texts)} pairs and {gold_path} {len(scores)} scores"
            )
        for number, (line, gold) in enumerate(zip(texts, scores, strict=True), 1):
            if gold.strip():  # blank means that no one scored the pair
                fields = line.split("\t")
                if len(fields) < 2:
                    raise BenchmarkError(
                        f"{path}, line {number} has no tab: write two texts with a tab between them"
                    )
                score = _gold(gold, definition, f"{gold_path}, line {number}")
                yield Pair(fields[0], fields[1], score, subset)


def _multisimlex_pairs(definition: Definition, column: str) -> Iterator[Pair]:
    for row in _multisimlex_rows(definition, (column,)):
        first, second = row.words[column]
        if first and second:
            yield Pair(first, second, row.scores[column], row.kind)


def _pairs_across(definition: Definition, second_column: str) -> Iterator[Pair]:
    """Pairs of words of two languages, from the same pair of concepts in both.

    Each pair of concepts gives two: one's first word with the other's second, and the reverse.
    Their score is the mean of the two languages' scores, and pairs whose scores differ by a fifth
    of the scale or more are left out.  A pair that comes again is taken once.
    """
    low, high = definition.scale or (0.0, 1.0)
    limit = round((high - low) * LARGEST_DIFFERENCE, 9)
    columns = (str(definition.column), second_column)
    seen = set()
    for row in _multisimlex_rows(definition, columns):
        (a1, a2), (b1, b2) = (row.words[column] for column in columns)
        one, other = (row.scores[column] for column in columns)
        if round(abs(one - other), 9) >= limit:
            continue
        for pair in ((a1, b2), (a2, b1)):
            if all(pair) and pair not in seen:
                seen.add(pair)
                yield Pair(*pair, (one + other) / 2, row.kind)


@dataclass(frozen=True)
class _ConceptPair:
    kind: str
    words: Mapping[str, tuple[str, str]]
    scores: Mapping[str, float]


def _multisimlex_rows(definition: Definition, columns: Sequence[str]) -> Iterator[_ConceptPair]:
    words_path, scores_path = (find_file(definition, file) for file in definition.files)
    words, scores = (list(csv.DictReader(read_lines(path))) for path in (words_path, scores_path))
    word_columns = [f"{column} {number}" for column in columns for number in (1, 2)]
    for names, rows, path in (
        (("ID", "POS", *word_columns), words, words_path),
        (("ID", *columns), scores, scores_path),
    ):
        for name in names:
            if not rows or name not in rows[0]:
                raise BenchmarkError(f"{path} has no column {name!r}: correct it, or `column`")
        for number, row in enumerate(rows, 1):
            if short := [name for name in names if row[name] is None]:
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
        place = f"{scores_path}, pair {pair['ID']}"
        yield _ConceptPair(
            pair["POS"],
            {column: (pair[f"{column} 1"], pair[f"{column} 2"]) for column in columns},
            {column: _gold(score[column], definition, place) for column in columns},
        )


def _gold(text: str, definition: Definition, place: str) -> float:
    if definition.labels is not None:
        if text not in definition.labels:
            known = " and ".join(definition.labels)
            raise BenchmarkError(f"{place}: the label {text!r} is none of {known}")
        return float(definition.labels.index(text))
    try:
        gold = float(text)
    except ValueError as error:
        raise BenchmarkError(f"{place}: the score {text!r} is not a number") from error
    low, high = definition.scale or (-math.inf, math.inf)
    if not (math.isfinite(gold) and low <= gold <= high):
        raise BenchmarkError(f"{place}: the score {gold} is not between {low} and {high}")
    return gold
