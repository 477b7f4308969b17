"""`mirror encode`: words of its errors.  The command is in tests/integration."""

from __future__ import annotations

import pytest

from flows.cli.encode import PRECISIONS, in_options
from mirror.encoders import embeddings_file


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            "a.x (corpus.paths) is of no known format: set corpus.format to one of csv",
            "a.x is of no known format: set --format to one of csv",
        ),
        (
            "a.csv has no column 'b': set text_column, source_column or title_column in [corpus] "
            "to one that it has (c)",
            "a.csv has no column 'b': set --text-column, --id-column or --title-column to one "
            "that it has (c)",
        ),
        ("remove it from corpus.paths", "remove it from the arguments"),
        ("set corpus.encoding to 'utf-16'", "set --encoding to 'utf-16'"),
    ],
)
def test_errors_name_options_and_not_keys_of_a_recipe(message: str, expected: str) -> None:
    assert in_options(message) == expected


def test_all_precisions_can_be_chosen() -> None:
    assert PRECISIONS == embeddings_file.PRECISIONS
