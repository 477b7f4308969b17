"""Numbers and reasons in the tables."""

from __future__ import annotations

import pytest

from mirror.experiments.paper_formatting import number, without_folders


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "no text at /home/someone/lists/en.txt (corpus.paths)",
            "no text at en.txt (corpus.paths)",
        ),
        ("no a/b.csv in /x/y, /z/w: get it", "no a/b.csv in y, w: get it"),
        ("two\n  lines", "two lines"),
        ("see https://example.org/a/b.tsv for it", "see https://example.org/a/b.tsv for it"),
        ("--base org/name=PATH", "--base org/name=PATH"),
        ("`/a/b`: gone", "`b`: gone"),
        ("models/some/base has none", "models/some/base has none"),
    ],
)
def test_reasons_tell_no_folders_of_this_machine(text: str, told: str) -> None:
    assert without_folders(text) == told


def test_numbers_are_as_long_as_the_papers() -> None:
    assert (number(0.7426), number(13.789), number(-0.05)) == (
        ".743",
        "13.79",
        "-.050",
    )
