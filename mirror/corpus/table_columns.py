"""Columns of a table, and the choice of those with text and titles."""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections.abc import Sequence
from typing import Any

import regex

from mirror.config_base import Level
from mirror.corpus.input_files import InputFile
from mirror.corpus.readers import DELIMITERS
from mirror.corpus.text_lines import read_lines
from mirror.errors import CorpusError

ROWS = 200
"""Rows by which columns are judged."""
TITLES = ("title", "subject", "heading", "headline", "summary")
"""Names of columns with the title of the text next to them."""
FEWEST_WORDS = 4
"""Of a text, in the median; of a script without spaces, as many times three letters."""
_NUMBER = regex.compile(r"[-+]?[\d.,:/ eE%$€-]+")
_SYLLABLE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]")


def choose_columns(
    file: InputFile,
    encoding: str,
    level: Level | None,
    text_column: str | None,
    title_column: str | None,
) -> dict[str, str]:
    """Return `text_column`, and `title_column` if there is one, of a table's `[corpus]`.

    Args:
        file: the table.
        encoding: of its bytes.
        level: words and names are short texts.
        text_column: the user's choice.
        title_column: likewise.

    Raises:
        CorpusError: a column is missing or has numbers, or several could be the text.
    """
    kinds = _column_kinds(_first_rows(file, encoding), level)
    _check_chosen([text_column, title_column], kinds, file)
    titles = [name for name in kinds if name.lower() in TITLES and kinds[name] != "numbers"]
    texts = [name for name, kind in kinds.items() if kind == "text"]
    texts = [name for name in texts if name not in titles] or texts
    if not text_column and len(texts) > 1 and "text" not in texts:
        raise CorpusError(
            f"{file.path} has {len(texts)} columns of text, {_joined(texts)}: "
            f"choose one with --text-column {texts[0]}"
        )
    if not text_column and not texts:
        raise CorpusError(f"no column of {file.path} has text: it has {_listed(kinds)}")
    text = text_column or ("text" if "text" in texts else texts[0])
    title = title_column or next((name for name in titles if name != text), None)
    return {"text_column": text} | ({"title_column": title} if title else {})


def _check_chosen(columns: Sequence[str | None], kinds: dict[str, str], file: InputFile) -> None:
    for column in filter(None, columns):
        if column not in kinds:
            raise CorpusError(f"{file.path} has no column {column!r}: it has {_listed(kinds)}")
        if kinds[column] == "numbers":
            raise CorpusError(
                f"column {column!r} of {file.path} has numbers and no text: "
                f"pass another with --text-column; it has {_listed(kinds)}"
            )


def _first_rows(file: InputFile, encoding: str) -> list[dict[str, Any]]:
    if file.format == "parquet":
        import pyarrow.parquet as pq

        with file.filesystem.open_input_file(file.path) as stream:
            batch = next(pq.ParquetFile(stream).iter_batches(ROWS), None)
            return batch.to_pylist() if batch is not None else []
    lines = (line.text for line in itertools.islice(read_lines(file, encoding), ROWS))
    if file.format == "jsonl":
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if isinstance(row, dict)]
    table = csv.DictReader((f"{line}\n" for line in lines), delimiter=DELIMITERS[file.format])
    rows = list(table)
    if len(table.fieldnames or ()) == 1 and (table.fieldnames or ("",))[0].count(";"):
        raise CorpusError(
            f"{file.path} has columns separated by semicolons: save it with commas, or with tabs "
            "as .tsv"
        )
    return rows


def _column_kinds(rows: Sequence[dict[str, Any]], level: Level | None) -> dict[str, str]:
    """Return for each column whether it has text, short labels or numbers."""
    names = dict.fromkeys(name for row in rows for name in row if name is not None)
    return {name: _kind([row.get(name) for row in rows], level) for name in names}


def _kind(cells: Sequence[Any], level: Level | None) -> str:
    filled = [cell for cell in cells if cell not in (None, "")]
    texts = [cell for cell in filled if isinstance(cell, str) and not _NUMBER.fullmatch(cell)]
    if len(texts) < len(filled) / 2 or not texts:
        return "numbers" if filled else "empty cells"
    words = statistics.median(
        len(text.split()) + len(_SYLLABLE.findall(text)) / 3 for text in texts
    )
    different = len(set(texts)) > min(20, len(texts) / 10)
    is_long = words >= FEWEST_WORDS or level in ("word", "name")
    return "text" if different and is_long else "short labels"


def _listed(kinds: dict[str, str]) -> str:
    return ", ".join(f"{name} ({kind})" for name, kind in kinds.items()) or "none"


def _joined(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"
