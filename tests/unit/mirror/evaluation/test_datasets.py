"""Benchmark data from a publisher, here a server on this machine."""

from __future__ import annotations

import hashlib
import socket
import threading
from pathlib import Path

import pytest
from pydantic import ValidationError

from mirror.errors import BenchmarkError, ServiceError
from mirror.evaluation.datasets import fetch_benchmark
from mirror.evaluation.kinds.similarity import SimilarityBenchmark

CONTENT = b"sentence1\tsentence2\tscore\na\tb\t1\n"


@pytest.fixture
def publisher(served: tuple[Path, str]) -> str:
    folder, address = served
    (folder / "pairs.tsv").write_bytes(CONTENT)
    return address


def definition(url: str | None, content: bytes = CONTENT) -> SimilarityBenchmark:
    file = {
        "path": "own/pairs.tsv",
        "sha256": hashlib.sha256(content).hexdigest(),
        "url": url,
    }
    return SimilarityBenchmark.model_validate(
        {"name": "own", "task": "similarity", "files": [file], "publisher": "https://example.org"}
    )


def test_a_file_is_downloaded_once(publisher: str, tmp_path: Path) -> None:
    wanted = definition(f"{publisher}/pairs.tsv")
    (fetched,) = fetch_benchmark(wanted, tmp_path / "data")
    assert fetched == tmp_path / "data" / "own" / "pairs.tsv"
    assert fetched.read_bytes() == CONTENT
    assert fetch_benchmark(wanted, tmp_path / "data") == ()


def test_a_damaged_file_is_fetched_again(publisher: str, tmp_path: Path) -> None:
    place = tmp_path / "data" / "own" / "pairs.tsv"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half")
    fetch_benchmark(definition(f"{publisher}/pairs.tsv"), tmp_path / "data")
    assert place.read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_not_stored(publisher: str, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="sent another file"):
        fetch_benchmark(definition(f"{publisher}/pairs.tsv", b"other"), tmp_path / "data")
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_a_publisher_that_is_down_is_retryable(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="does not answer"):
        fetch_benchmark(definition("http://127.0.0.1:9/pairs.tsv"), tmp_path / "data")


def test_a_missing_page_is_an_error(publisher: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match="404"):
        fetch_benchmark(definition(f"{publisher}/absent.tsv"), tmp_path / "data")


@pytest.mark.parametrize(
    "answer",
    [
        b"no protocol that anyone speaks\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\ncut off",
    ],
)
def test_an_invalid_answer_of_a_publisher_is_retryable(tmp_path: Path, answer: bytes) -> None:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(1 << 16)
            connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/pairs.tsv"
        with pytest.raises(ServiceError, match="does not answer"):
            fetch_benchmark(definition(url), tmp_path / "data")
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]


def test_a_file_without_url_shows_the_download_instructions(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"https://example\.org"):
        fetch_benchmark(definition(None), tmp_path / "data")


def test_local_files_cannot_be_named_as_addresses() -> None:
    with pytest.raises(ValidationError, match="not an http"):
        definition("file:///etc/passwd")
