"""Downloads stay in their folder, match their checksum and keep to their size limit.

`tests/unit/mirror/test_download.py` attacks with archives, links and redirects out of the web;
`test_fetching.py`, `test_published.py` and `test_benchmark.py` with paths and addresses in
definitions.  Here are servers that break the rules, and compressed files.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mirror import download
from mirror.corpus.sources import read_documents
from mirror.data_files import DataFile
from mirror.download import download_file
from mirror.errors import BenchmarkError, CorpusError, InputError, MirrorError, ServiceError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.datasets import fetch_benchmark
from mirror.paths import CHECKOUT
from mirror.recipe import read_recipe

CONTENT = b"oar\nmast\n"
FILE = DataFile(path="lists/words.txt", sha256=hashlib.sha256(CONTENT).hexdigest())
BOMB_BYTES = 400 << 20
MEMORY = """
import resource, sys
from pathlib import Path
from mirror.recipe import read_recipe
from mirror.corpus.sources import read_documents
recipe = read_recipe(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
faults = [document.fault for document in read_documents(recipe)]
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(len(faults), all(faults), (after - before) // 1024)
"""
Answer = Callable[[Any], None]


@pytest.fixture
def hostile() -> Iterator[tuple[dict[str, Answer], str]]:
    """A server with an answer for each path, and its address."""
    answers: dict[str, Answer] = {}

    class Hostile(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answers[self.path](self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield answers, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def send(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(call: Any) -> None:
        call.send_response(status)
        for name, value in headers.items():
            call.send_header(name.replace("_", "-"), value)
        call.end_headers()
        call.wfile.write(content)

    return answer


def endless(call: Any) -> None:
    call.send_response(200)
    call.end_headers()
    try:
        while True:
            call.wfile.write(bytes(1 << 16))
    except OSError:
        pass  # it was cut off, as it must be


def cut_short(call: Any) -> None:
    call.send_response(200)
    call.send_header("Content-Length", str(1 << 20))
    call.end_headers()
    call.wfile.write(CONTENT[:4])


def names_another_place(call: Any) -> None:
    disposition = 'attachment; filename="../../../escaped.txt"'
    send(CONTENT + b"more", Content_Disposition=disposition)(call)


def left_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if not path.is_dir()]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (send(CONTENT + b"more"), CorpusError),
        (send(gzip.compress(CONTENT), Content_Encoding="gzip"), CorpusError),
        (send(b"", 302, Location="/words.txt"), ServiceError),
        (send(b"", 302, Location="//127.0.0.1:9/words.txt"), ServiceError),
        (send(CONTENT, 500), ServiceError),
        (send(CONTENT, 401, WWW_Authenticate='Basic realm="x"'), ServiceError),
        (cut_short, CorpusError),
        (names_another_place, CorpusError),
        (endless, CorpusError),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_hostile_downloads_are_not_stored(
    answer: Answer,
    fault: type[MirrorError],
    hostile: tuple[dict[str, Answer], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1 << 20)
    answers, address = hostile
    answers["/words.txt"] = answer
    root = tmp_path / "in" / "here"
    with pytest.raises(fault):
        download_file(FILE, f"{address}/words.txt", root, "a test", CorpusError)
    assert left_in(tmp_path) == []


def test_a_redirect_to_a_local_service_leaks_no_content(
    hostile: tuple[dict[str, Answer], str], tmp_path: Path
) -> None:
    """Such as a cloud's metadata at 169.254.169.254: its answer is not shown or stored."""
    answers, address = hostile
    answers["/words.txt"] = send(b"", 302, Location=f"{address}/latest/meta-data/credentials")
    answers["/latest/meta-data/credentials"] = send(b"AccessKey: k33p-me")
    with pytest.raises(CorpusError) as fault:
        download_file(FILE, f"{address}/words.txt", tmp_path / "root", "a test", CorpusError)
    assert "k33p-me" not in str(fault.value)
    assert left_in(tmp_path) == []


def test_a_silent_server_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TIMEOUT_SECONDS", 0.5)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/words.txt"
        with pytest.raises(ServiceError, match="does not answer"):
            download_file(FILE, url, tmp_path / "root", "a test", CorpusError)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize(
    "line",
    [
        'path = "a\\u0000b"',
        'path = "a/../../b"',
        'path = "..\\u002Fb"',
        'path = ".."',
        'path = "/etc/cron.d/b"',
        'path = "a.tsv"\nurl = "file:///etc/passwd"',
        'path = "a.tsv"\nurl = "ftp://127.0.0.1/a.tsv"',
        'path = "a.tsv"\nurl = " http://127.0.0.1/a.tsv"',
        'path = "a.tsv"\nurl = "HTTP+unix://%2Fvar%2Frun%2Fdocker.sock/a"',
        'path = "a.tsv"\nurl = "data:,oar"',
    ],
)
def test_a_definition_writes_nowhere_else_and_reads_the_web_alone(
    line: str, tmp_path: Path
) -> None:
    definition = tmp_path / "own.toml"
    definition.write_text(f'task = "similarity"\n[[files]]\nsha256 = "{"0" * 64}"\n{line}\n')
    with pytest.raises(BenchmarkError):
        fetch_benchmark(read_definition(str(definition)), tmp_path / "root")
    assert left_in(tmp_path) == [definition]


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:9/a\r\nX-Evil: 1", "http://", "http://[::1", "http://127.0.0.1:99999/a"],
)
def test_an_invalid_address_is_an_error(url: str, tmp_path: Path) -> None:
    with pytest.raises((InputError, ServiceError)):
        download_file(FILE, url, tmp_path / "root", "a test", CorpusError)
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_decompression_bomb_takes_no_memory(
    packing: str, write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    bomb = tmp_path / f"bomb.txt.{packing}"
    if packing == "gz":
        with gzip.open(bomb, "wb", compresslevel=1) as file:
            for _ in range(BOMB_BYTES >> 20):
                file.write(b"a" * (1 << 20))
    else:
        import zstandard

        with zstandard.open(bomb, "wb") as file:
            for _ in range(BOMB_BYTES >> 20):
                file.write(b"a" * (1 << 20))
    assert bomb.stat().st_size < BOMB_BYTES / 100
    recipe = write_recipe(tmp_path / "recipe", text=str(bomb))
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(recipe)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        cwd=CHECKOUT,
    )
    lines, faulty, megabytes = done.stdout.split()
    assert (lines, faulty) == ("1", "True")
    assert int(megabytes) < 150


def test_an_archive_of_text_is_not_unpacked(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    link = tarfile.TarInfo("text.jsonl")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with tarfile.open(tmp_path / "words.tar.gz", "w:gz") as archive:
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("../../escaped.txt"))
    with zipfile.ZipFile(tmp_path / "words.zip", "w") as packed:
        packed.writestr("../../escaped.txt", '{"text": "out"}\n')
    for name in ("words.tar.gz", "words.zip"):
        recipe = write_recipe(tmp_path / "recipe", text=str(tmp_path / name))
        with pytest.raises(CorpusError):
            list(read_documents(read_recipe(recipe)))
    assert not list(tmp_path.parent.rglob("escaped.txt"))


def test_a_data_sets_archive_writes_nothing_beside_it(
    write_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets")
    folder = tmp_path / "deep" / "words"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "train.zip", "w") as packed:
        packed.writestr("../../escaped.jsonl", json.dumps({"text": "the baker sells"}) + "\n")
        packed.writestr("train.jsonl", json.dumps({"text": "the judge counts"}) + "\n")
    recipe = write_recipe(tmp_path / "recipe")
    content = recipe.read_text().replace(
        'source = "files"', f'source = "hub"\ndataset = "{folder}"'
    )
    recipe.write_text("".join(line for line in content.splitlines(True) if "paths =" not in line))
    before = set(left_in(tmp_path))
    try:
        texts = [document.text for document in read_documents(read_recipe(recipe))]
    except CorpusError:
        texts = []
    assert set(texts) <= {"the baker sells", "the judge counts"}
    assert set(left_in(tmp_path)) == before


@pytest.mark.parametrize("name", ["../../escaped.txt", "/{tmp}/escaped.txt", "a/..%2f..%2f../b"])
def test_a_registry_of_others_writes_nothing_outside_the_copy(
    name: str, hostile: tuple[dict[str, Answer], str], tmp_path: Path
) -> None:
    """`mirror serve` and comparisons with a champion fetch models this way."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    answers, address = hostile
    place = "/api/2.0/mlflow-artifacts/artifacts"
    listed = {"files": [{"path": name.format(tmp=tmp_path), "is_dir": False, "file_size": 3}]}
    for path in (f"{place}?path=model", f"{place}?path=model%2F"):
        answers[path] = send(json.dumps(listed).encode(), Content_Type="application/json")
    (tmp_path / "in" / "here").mkdir(parents=True)
    with pytest.raises(MlflowException, match="Invalid path"):
        download_artifacts(
            artifact_uri=f"{address}{place}/model", dst_path=str(tmp_path / "in" / "here")
        )
    assert left_in(tmp_path) == []
