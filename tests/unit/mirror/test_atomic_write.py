"""Files and folders that are complete or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.atomic_write import atomic_file, atomic_folder, check_new_folder, write_together
from mirror.errors import InputError, StoreError


def test_a_folder_appears_when_it_is_whole(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with atomic_folder(out) as folder:
        (folder / "a").write_text("1")
        assert not out.exists()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == [
        "out",
        "out/a",
    ]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_a_block_that_fails_leaves_nothing(tmp_path: Path, fault: type[BaseException]) -> None:
    with pytest.raises(fault), atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
        raise fault
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"No space left on device.*nothing was left there"),
        atomic_folder(tmp_path / "out") as folder,
    ):
        (folder / "a").write_text("1")
        raise OSError(28, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_never_written_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine").write_text("mine")
    for name in ("file", "folder"):
        with pytest.raises(InputError, match="exists already"):
            check_new_folder(tmp_path / name)
    with pytest.raises(InputError, match="does not exist"):
        check_new_folder(tmp_path / "missing" / "out")


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    assert (tmp_path / "out" / "a").read_text() == "1"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="has no file system that takes nothing")
def test_a_folder_above_that_takes_nothing_is_told_at_once() -> None:
    with pytest.raises(
        InputError, match=r"no folder can be made in /proc .*name another with --out"
    ):
        check_new_folder(Path("/proc/out"))


def test_a_look_leaves_nothing(tmp_path: Path) -> None:
    check_new_folder(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_file(path) as part:
        part.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    with pytest.raises(ValueError), atomic_file(path) as part:
        part.write_text("half")
        raise ValueError
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "missing" / "b"
    old = tmp_path / "old"
    old.write_text("old")
    with pytest.raises(StoreError, match="none was changed"):
        write_together({first: "new", old: "new", second: "new"})
    assert (first.exists(), old.read_text()) == (False, "old")
    write_together({first: "new", old: "newer"})
    assert (first.read_text(), old.read_text()) == ("new", "newer")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "old"]
