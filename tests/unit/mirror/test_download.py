"""Downloads: whole files only, inside their folder, over HTTP(S) only."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.data_files import DataFile
from mirror.download import download_file, is_declared
from mirror.errors import CorpusError, MirrorError, ServiceError, StoreError

CONTENT = b"oar\nmast\n"
FILE = DataFile(path="lists/words.txt", sha256=hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def address(served: tuple[Path, str]) -> str:
    """Serve `CONTENT` at this address."""
    (served[0] / "words.txt").write_bytes(CONTENT)
    return f"{served[1]}/words.txt"


def download(url: str, root: Path, file: DataFile = FILE) -> Path:
    return download_file(file, url, root, "a test", CorpusError)


def test_a_file_is_downloaded_to_its_path(address: str, tmp_path: Path) -> None:
    path = download(address, tmp_path)
    assert path == tmp_path / "lists" / "words.txt"
    assert path.read_bytes() == CONTENT
    assert is_declared(path, FILE)
    assert [path.name for path in path.parent.iterdir()] == ["words.txt"]


def test_the_error_names_the_owner_and_nothing_is_left(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT + b"more\n")
    with pytest.raises(CorpusError, match=r"recipe x: .*sent another file"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path, "recipe x", CorpusError)
    assert not list((tmp_path / "lists").iterdir())


def test_the_error_of_a_server_that_does_not_answer_names_the_path(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"download it by hand to .*lists/words\.txt"):
        download("http://127.0.0.1:9/words.txt", tmp_path)


def test_a_folder_that_cannot_be_written_is_refused(address: str, tmp_path: Path) -> None:
    (tmp_path / "lists").write_text("a file instead of the folder")
    with pytest.raises(StoreError, match=r"words\.txt cannot be written"):
        download(address, tmp_path)


def test_an_archive_is_not_unpacked(served: tuple[Path, str], tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped.txt", "out")
        archive.writestr("/escaped.txt", "out")
    content = packed.getvalue()
    (served[0] / "a.zip").write_bytes(content)
    file = DataFile(path="data/a.zip", sha256=hashlib.sha256(content).hexdigest())
    root = tmp_path / "in" / "here"
    path = download(f"{served[1]}/a.zip", root, file)
    assert path.read_bytes() == content
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a.zip"]
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_link_at_the_files_path_is_replaced_and_not_written_through(
    address: str, tmp_path: Path
) -> None:
    outside, root = tmp_path / "outside.txt", tmp_path / "root"
    outside.write_text("mine")
    (root / "lists").mkdir(parents=True)
    (root / "lists" / "words.txt").symlink_to(outside)
    download(address, root)
    assert outside.read_text() == "mine"
    assert not (root / "lists" / "words.txt").is_symlink()


def test_a_linked_folder_that_leads_outside_is_refused(address: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "lists").symlink_to(tmp_path / "outside")
    with pytest.raises(CorpusError, match=r"a link leads .*lists out of .*root: remove the link"):
        download(address, tmp_path / "root")
    assert not list((tmp_path / "outside").iterdir())


def test_a_root_that_is_a_link_is_followed(address: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    download(address, tmp_path / "root")
    assert (tmp_path / "disk" / "lists" / "words.txt").read_bytes() == CONTENT


@pytest.fixture
def redirecting() -> Iterator[tuple[type, str]]:
    """Start a server that redirects every request to its handler's `target`."""

    class Redirects(http.server.BaseHTTPRequestHandler):
        target = ""

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Redirects) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Redirects, f"http://127.0.0.1:{server.server_port}/words.txt"
        server.shutdown()


def test_a_redirect_out_of_http_is_refused(
    redirecting: tuple[type, str], served: tuple[Path, str], tmp_path: Path
) -> None:
    redirects, url = redirecting
    secret = tmp_path / "secret.txt"
    secret.write_bytes(CONTENT)  # as declared, so that only the redirect is at fault
    for target in (secret.as_uri(), f"ftp://127.0.0.1:9{secret}", "data:,oar%0Amast%0A"):
        redirects.target = target
        with pytest.raises(MirrorError, match=r"not allowed|unknown url type"):
            download(url, tmp_path / "root")
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    (served[0] / "words.txt").write_bytes(CONTENT)
    redirects.target = f"{served[1]}/words.txt"
    assert download(url, tmp_path / "root").is_file()
