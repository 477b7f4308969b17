"""Files that a recipe's paths name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirror.errors import CorpusError
from mirror.places import find_places


def write_latin_1(folder: Path, ending: str) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/fl\xfc" + ending.encode())).write_text("x\n")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")


@pytest.mark.parametrize(
    ("where", "shown"),
    [
        ("{}", r"fl\udcfc.txt"),
        ("{}/*.txt", r"fl\udcfc.txt"),
        ("{}/**/*.txt", r"fl\udcfc.txt"),
        ("file://{}", "0xfc"),
    ],
)
def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path, where: str, shown: str) -> None:
    write_latin_1(tmp_path, ".txt")
    with pytest.raises(CorpusError, match=r"not in UTF-8: rename") as caught:
        find_places((where.format(tmp_path),))
    assert shown in str(caught.value)
    str(caught.value).encode()


def test_names_that_are_passed_over_may_be_what_they_are(tmp_path: Path) -> None:
    write_latin_1(tmp_path, ".jpg")
    (tmp_path / "a.txt").write_text("one oar\n")
    assert [place.name for place in find_places((str(tmp_path),))] == ["a.txt"]
