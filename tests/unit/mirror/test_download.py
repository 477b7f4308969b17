"""A file comes whole or not at all; the rest is in the tests of what fetches."""

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


def test_a_file_is_put_in_its_place(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    place = download_file(FILE, f"{served[1]}/words.txt", tmp_path, "a test", CorpusError)
    assert place == tmp_path / "lists" / "words.txt"
    assert place.read_bytes() == CONTENT
    assert is_declared(place, FILE)
    assert [path.name for path in place.parent.iterdir()] == ["words.txt"]


def test_what_is_at_fault_is_the_callers(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT + b"more\n")
    with pytest.raises(CorpusError, match=r"recipe x: .*sent another file"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path, "recipe x", CorpusError)
    assert not list((tmp_path / "lists").iterdir())


def test_where_to_put_it_by_hand_is_said_when_nobody_answers(tmp_path: Path) -> None:
    with pytest.raises(ServiceError, match=r"put it at .*lists/words\.txt"):
        download_file(FILE, "http://127.0.0.1:9/words.txt", tmp_path, "a test", CorpusError)


def test_a_folder_that_cannot_be_written_is_said(served: tuple[Path, str], tmp_path: Path) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    (tmp_path / "lists").write_text("a file in the folder's place")
    with pytest.raises(StoreError, match=r"words\.txt cannot be written"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path, "a test", CorpusError)


def test_an_archive_is_kept_as_it_came_whatever_its_members_are_called(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped.txt", "out")
        archive.writestr("/escaped.txt", "out")
    content = packed.getvalue()
    (served[0] / "a.zip").write_bytes(content)
    file = DataFile(path="data/a.zip", sha256=hashlib.sha256(content).hexdigest())
    root = tmp_path / "in" / "here"
    place = download_file(file, f"{served[1]}/a.zip", root, "a test", CorpusError)
    assert place.read_bytes() == content
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["a.zip"]
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_link_in_the_files_place_is_replaced_and_not_written_through(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    outside, root = tmp_path / "outside.txt", tmp_path / "root"
    outside.write_text("mine")
    (root / "lists").mkdir(parents=True)
    (root / "lists" / "words.txt").symlink_to(outside)
    download_file(FILE, f"{served[1]}/words.txt", root, "a test", CorpusError)
    assert outside.read_text() == "mine"
    assert not (root / "lists" / "words.txt").is_symlink()


def test_a_linked_folder_that_leads_outside_is_refused(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "lists").symlink_to(tmp_path / "outside")
    with pytest.raises(CorpusError, match=r"a link leads .*lists out of .*root: remove it"):
        download_file(FILE, f"{served[1]}/words.txt", tmp_path / "root", "a test", CorpusError)
    assert not list((tmp_path / "outside").iterdir())


def test_a_root_that_is_a_link_itself_is_where_it_leads(
    served: tuple[Path, str], tmp_path: Path
) -> None:
    (served[0] / "words.txt").write_bytes(CONTENT)
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    download_file(FILE, f"{served[1]}/words.txt", tmp_path / "root", "a test", CorpusError)
    assert (tmp_path / "disk" / "lists" / "words.txt").read_bytes() == CONTENT


@pytest.fixture
def redirecting() -> Iterator[tuple[type, str]]:
    """A server that sends everyone on to its handler's `target`."""

    class Sends(http.server.BaseHTTPRequestHandler):
        target = ""

        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Sends) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Sends, f"http://127.0.0.1:{server.server_port}/words.txt"
        server.shutdown()


def test_a_redirect_leads_nowhere_but_the_web(
    redirecting: tuple[type, str], served: tuple[Path, str], tmp_path: Path
) -> None:
    sends, url = redirecting
    secret = tmp_path / "secret.txt"
    secret.write_bytes(CONTENT)  # as declared, so that only the way there is at fault
    for target in (secret.as_uri(), f"ftp://127.0.0.1:9{secret}", "data:,oar%0Amast%0A"):
        sends.target = target
        with pytest.raises(MirrorError, match=r"not allowed|unknown url type"):
            download_file(FILE, url, tmp_path / "root", "a test", CorpusError)
    assert not [path for path in (tmp_path / "root").rglob("*") if path.is_file()]
    (served[0] / "words.txt").write_bytes(CONTENT)
    sends.target = f"{served[1]}/words.txt"
    assert download_file(FILE, url, tmp_path / "root", "a test", CorpusError).is_file()
