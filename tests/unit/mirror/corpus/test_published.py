"""Training lists by checksum: found, or fetched, or refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mirror.corpus.ingest import corpus_stage, ingest_corpus
from mirror.corpus.sources import check_sources
from mirror.errors import CorpusError, ServiceError
from mirror.recipe import Recipe
from mirror.sampling.sample import sample_strings
from mirror.store import Store
from tests.fixtures.recipes import make_recipe

CONTENT = b"oar\nmast \noar\n\xc2\xa0sail\n"
LINES = ["oar", "mast ", "oar", "\u00a0sail"]
NOBODY = "http://127.0.0.1:9/words.txt"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Use an empty workspace without lists."""
    monkeypatch.setenv("MIRROR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MIRROR_CORPORA", raising=False)
    return tmp_path / "home"


def recipe(url: str | None = None, content: bytes = CONTENT, **corpus: Any) -> Recipe:
    file = {"path": "test-lists/words.txt", "sha256": hashlib.sha256(content).hexdigest()}
    published = corpus.get("source", "published") == "published"
    corpus = {
        "source": "published",
        "split_into": "lines",
        "keep_raw": True,
        **({"files": [file if url is None else {**file, "url": url}]} if published else {}),
        **corpus,
    }
    return make_recipe(level="word", corpus=corpus, sample={"size": 4}, tuning={"batch_size": 2})


def texts(folder: Path) -> list[str]:
    found: list[str] = pq.read_table(folder)["text"].to_pylist()
    return found


def test_a_list_is_downloaded_before_any_work_and_read_unchanged(
    served: tuple[Path, str], home: Path, store: Store
) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    wanted = recipe(f"{served[1]}/words.txt")
    check_sources(wanted)
    assert (home / "corpora" / "test-lists" / "words.txt").read_bytes() == CONTENT
    (served[0] / "words.txt").unlink()
    corpus = ingest_corpus(wanted, store)
    assert texts(corpus.path / "sentences") == LINES
    assert corpus.counts["rejected"] == {}
    sample = sample_strings(wanted, corpus, store)
    assert sorted(texts(sample.path / "strings.parquet")) == sorted(LINES)


def test_a_list_is_read_from_the_folder_in_the_environment(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine" / "test-lists").mkdir(parents=True)
    (tmp_path / "mine" / "test-lists" / "words.txt").write_bytes(CONTENT)
    monkeypatch.setenv("MIRROR_CORPORA", str(tmp_path / "mine"))
    check_sources(recipe(NOBODY))
    assert not (home / "corpora").exists()


def test_a_damaged_list_is_fetched_again(served: tuple[Path, str], home: Path) -> None:
    place = home / "corpora" / "test-lists" / "words.txt"
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT[:5])
    (served[0] / "words.txt").write_bytes(CONTENT)
    check_sources(recipe(f"{served[1]}/words.txt"))
    assert place.read_bytes() == CONTENT


def test_a_publisher_that_does_not_answer_is_a_service_error() -> None:
    with pytest.raises(ServiceError, match=r"does not answer.*download it by hand to .*words\.txt"):
        check_sources(recipe(NOBODY))


def test_another_list_than_was_declared_is_refused(served: tuple[Path, str]) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT + b"more\n")
    with pytest.raises(CorpusError, match=r"recipe en-trades: .*sent another file"):
        check_sources(recipe(f"{served[1]}/words.txt"))


def test_the_error_of_a_list_without_url_has_the_instructions() -> None:
    with pytest.raises(CorpusError, match=r"words\.txt with SHA-256.*Ask the harbour master"):
        check_sources(recipe(download_instructions="Ask the\n  harbour master"))
    with pytest.raises(CorpusError, match="Ask the harbour master"):
        check_sources(
            recipe(
                source="files",
                paths=["none/a.txt"],
                download_instructions="Ask the harbour master",
            )
        )


def test_the_key_follows_content_and_neither_address_nor_advice() -> None:
    key = corpus_stage(recipe(NOBODY)).key
    assert (
        corpus_stage(recipe("http://example.org/words.txt", download_instructions="Ask.")).key
        == key
    )
    assert corpus_stage(recipe(NOBODY, CONTENT + b"more\n")).key != key
