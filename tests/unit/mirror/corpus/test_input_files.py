"""Input files of a recipe: paths, globs and names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mirror.corpus.input_files import search_files
from mirror.errors import CorpusError


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
        search_files((where.format(tmp_path),))
    assert shown in str(caught.value)
    str(caught.value).encode()


def test_names_of_skipped_files_are_not_checked(tmp_path: Path) -> None:
    write_latin_1(tmp_path, ".jpg")
    (tmp_path / "a.txt").write_text("one oar\n")
    assert [file.name for file in search_files((str(tmp_path),)).files] == ["a.txt"]


TREE = (
    "logs/2024.txt",
    "logs/2023.TXT",
    "logs/a.jsonl",
    "logs/archive/2019.txt",
    "logs/archive/old/2001.txt",
    "logs/[x]/1.txt",
    "logs/.hidden/1.txt",
    "other/2024.txt",
    "top.txt",
)


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("logs/*.txt", ["2024.txt"]),
        ("*/2*.txt", ["logs/2024.txt", "other/2024.txt"]),
        ("logs/*/*.txt", ["[x]/1.txt", "archive/2019.txt"]),
        (
            "logs/**/*.txt",
            ["2024.txt", "[x]/1.txt", "archive/2019.txt", "archive/old/2001.txt"],
        ),
        ("*/**/old/*.txt", ["logs/archive/old/2001.txt"]),
        ("**/archive/**/20?[19].txt", ["logs/archive/2019.txt", "logs/archive/old/2001.txt"]),
        ("logs/arch*/**", ["archive/2019.txt", "archive/old/2001.txt"]),
        ("**/archive/**/**/2001.txt", ["logs/archive/old/2001.txt"]),
        ("logs/[!a-z]*/*.txt", ["[x]/1.txt"]),
        ("logs//[2]*.txt", ["2024.txt"]),
        ("[l]ogs/2023.*", ["logs/2023.TXT"]),
        ("*.txt", ["top.txt"]),
        ("*.jsonl", []),
        ("logs/*/2001.txt", []),
    ],
)
def test_a_glob_names_the_same_files_locally_and_on_a_store(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("one oar\n")
    for start in (str(tmp_path), f"file://{tmp_path}"):
        if expected:
            assert [file.name for file in search_files((f"{start}/{pattern}",)).files] == expected
        else:
            with pytest.raises(CorpusError, match="no text at"):
                search_files((f"{start}/{pattern}",))


@pytest.mark.parametrize("start", ["{}", "file://{}"])
@pytest.mark.parametrize("pattern", ["**.txt", "logs**/*.txt", "**a/b.txt", "***"])
def test_two_stars_next_to_other_characters_are_refused(
    tmp_path: Path, start: str, pattern: str
) -> None:
    (tmp_path / "a.txt").write_text("one oar\n")
    with pytest.raises(CorpusError, match=r"must be alone between slashes; write .*\*"):
        search_files((f"{start.format(tmp_path)}/{pattern}",))


def test_the_folder_of_an_unknown_user_has_no_text() -> None:
    with pytest.raises(CorpusError, match=r"no text at ~no-such-user-anywhere/x"):
        search_files(("~no-such-user-anywhere/x",))
