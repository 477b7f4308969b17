"""Disk space of a failed ingestion: all of its files are removed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mirror.corpus import ingest as corpus_module
from mirror.corpus.dedup import DuplicateFinder
from mirror.corpus.filtering import text_digests
from mirror.corpus.ingest import ingest_corpus
from mirror.errors import CorpusError, StoreError
from mirror.recipe import Recipe
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

TEXT = "One boat left.\nTwo boats stayed.\n"


def recipe(folder: Path, text: str, **corpus: object) -> Recipe:
    (folder / "a.txt").write_text(text)
    paths = [str(folder / "a.txt")]
    return make_recipe(corpus={"source": "files", "paths": paths, **corpus})


def left_over(store: Store) -> list[Path]:
    return [*(store.root / "work").iterdir(), *(store.root / "stages").rglob("*.parquet")]


@pytest.mark.parametrize("function", ["_filter_source", "_write_tables", "_check_balance"])
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (OSError(28, "No space left on device"), StoreError),
        (CorpusError("a file is damaged"), CorpusError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
)
def test_a_failure_leaves_no_files(
    tmp_path: Path,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    function: str,
    fault: BaseException,
    expected: type[BaseException],
) -> None:
    whole = getattr(corpus_module, function)

    def fail(*given: object) -> None:
        whole(*given)
        assert list((store.root / "work").rglob("*.parquet"))
        raise fault

    monkeypatch.setattr(corpus_module, function, fail)
    with pytest.raises(expected):
        ingest_corpus(recipe(tmp_path, TEXT), store)
    assert not left_over(store)


@pytest.mark.parametrize(
    ("text", "least", "message"),
    [
        ("", 1, r"no text in .*a\.txt"),
        ("\n\n \n", 1, r"no text in .*a\.txt"),
        (TEXT, 500, r"a\.txt"),
    ],
)
def test_a_corpus_without_accepted_rows_is_refused_and_leaves_no_files(
    tmp_path: Path, store: Store, text: str, least: int, message: str
) -> None:
    with pytest.raises(CorpusError, match=message):
        ingest_corpus(recipe(tmp_path, text, min_characters=least), store)
    assert not left_over(store)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_hashes_on_a_full_disk_say_that_it_is_full(tmp_path: Path) -> None:
    finder = DuplicateFinder(tmp_path / "hashes")
    for part in range(256):
        (finder.folder / f"part-{part:03}").symlink_to("/dev/full")
    finder.add(np.array([0]), text_digests(["One boat left."]))
    with pytest.raises(OSError, match="No space left"):
        finder.mark_repeated(1)
