"""Surveys of texts of several kinds, and the errors about those that cannot be used."""

from __future__ import annotations

import hashlib
import http.server
import json
import random
import textwrap
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from mirror.corpus import text_survey
from mirror.corpus.text_survey import survey_text
from mirror.errors import CorpusError

PLACES = ("Köln", "München", "Lübeck", "Görlitz", "Düren")


def german(number: int) -> str:
    """Return a paragraph of three sentences, which is another for each number."""
    drawn = random.Random(number)
    return " ".join(
        f"Der späte Zug nach {drawn.choice(PLACES)} hält auf Gleis {n} wegen einer Störung."
        for n in range(3 * number, 3 * number + 3)
    )


def english(number: int) -> str:
    return " ".join(
        f"The old printer in room {n} stops after the update and shows a red light."
        for n in range(3 * number, 3 * number + 3)
    )


@pytest.fixture
def tickets(tmp_path: Path) -> Path:
    """JSON lines with two columns of text, and others."""
    path = tmp_path / "tickets.jsonl"
    rows = (
        {"id": n, "question": english(n), "answer": english(n + 500), "state": "open"}
        for n in range(100)
    )
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def test_markdown_has_titled_sections(tmp_path: Path) -> None:
    for page in range(5):
        sections = (f"# Printer {page} {n}\n\n{english(10 * page + n)}\n\n" for n in range(10))
        (tmp_path / f"{page}.md").write_text("".join(sections))
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    survey = survey_text(str(tmp_path), "en")
    assert survey.settings == {"source": "files", "paths": [str(tmp_path)]}
    assert (survey.level, survey.formats, survey.files) == ("sentence", ("markdown",), 5)
    assert survey.is_whole
    assert (len(survey.documents), survey.titled, survey.share(3)) == (50, 50, 1)
    assert survey.notes == ("1 file is left out (1 .png): logo.png",)


def test_two_columns_of_text_are_a_choice(tickets: Path) -> None:
    message = "2 columns of text, question and answer: choose one with --text-column question"
    with pytest.raises(CorpusError, match=message):
        survey_text(str(tickets), "en")
    survey = survey_text(str(tickets), "en", text_column="answer")
    assert survey.settings["text_column"] == "answer"
    assert "room 1500 " in survey.documents[0].text


@pytest.mark.parametrize(
    ("column", "message"),
    [("id", "column 'id' .* has numbers and no text"), ("body", "no column 'body': it has id")],
)
def test_a_column_without_text_is_refused(tickets: Path, column: str, message: str) -> None:
    with pytest.raises(CorpusError, match=message):
        survey_text(str(tickets), "en", text_column=column)


def test_csv_in_latin_1_is_read_with_its_encoding(tmp_path: Path) -> None:
    path = tmp_path / "meldungen.csv"
    rows = [f'{n},"Störung {n}","{german(n)}"' for n in range(100)]
    path.write_bytes("\n".join(["nummer,subject,nachricht", *rows]).encode("iso-8859-1"))
    survey = survey_text(str(path), "de")
    assert survey.settings == {
        "source": "files",
        "paths": [str(path)],
        "encoding": "iso-8859-1",
        "text_column": "nachricht",
        "title_column": "subject",
    }
    assert survey.documents[3].title == "Störung 3"


@pytest.mark.parametrize(
    ("encoding", "language", "text"),
    [
        ("utf-16", "de", german(1)),
        ("cp1251", "ru", "Старый поезд сегодня стоит на втором пути и ждёт пассажиров до вечера. "),
        ("shift_jis", "ja", "古い列車は今日二番線に止まり、夕方まで乗客を待っています。"),
    ],
)
def test_encodings_are_found_by_mark_or_language(
    tmp_path: Path, encoding: str, language: str, text: str
) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes("\n".join(5 * text for _ in range(5)).encode(encoding))
    assert survey_text(str(path), language).settings["encoding"] == encoding


@pytest.mark.parametrize("width", [72, None], ids=["wrapped", "a paragraph a line"])
def test_a_long_german_text_gives_paragraphs(tmp_path: Path, width: int | None) -> None:
    path = tmp_path / "roman.txt"
    paragraphs = [german(n) for n in range(3_000)]
    if width:
        path.write_text("\n\n".join(textwrap.fill(text, width) for text in paragraphs))
    else:
        path.write_text("\n".join(paragraphs))
    survey = survey_text(str(path), "de")
    assert survey.settings.get("format") == ("paragraphs" if width else None)
    assert not survey.is_whole
    assert len(survey.documents) == text_survey.DOCUMENTS
    assert survey.documents[7].text == paragraphs[7]
    assert survey.share(3) == 1


def test_a_folder_with_one_pdf_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(b"%PDF-1.4\n")
    with pytest.raises(CorpusError, match=r"\.pdf\): report\.pdf, a PDF, so convert it to text"):
        survey_text(str(tmp_path), "de")


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="the folder has no files"):
        survey_text(str(tmp_path), "de")


@pytest.mark.parametrize("content", ["", "\n \n"])
def test_a_file_without_text_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.txt").write_text(content)
    with pytest.raises(CorpusError, match="no text"):
        survey_text(str(tmp_path), "de")


def test_another_language_is_refused_and_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(map(english, range(50))))
    message = "100% of the sampled text .* is in 'en' and 0% in 'de': set --language en"
    with pytest.raises(CorpusError, match=message):
        survey_text(str(tmp_path), "de")


def test_some_foreign_text_is_noted(tmp_path: Path) -> None:
    texts = [german(n) if n % 5 else english(n) for n in range(100)]
    (tmp_path / "a.txt").write_text("\n".join(texts))
    [note] = survey_text(str(tmp_path), "de").notes
    assert "in other languages, which a run rejects" in note


def test_templates_are_noted_and_count_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("\n".join(german(n % 20) for n in range(200)))
    survey = survey_text(str(tmp_path), "de")
    assert survey.share(1) == 20 / 200
    assert survey.notes == ("90% of 600 sentences repeat an earlier one and are left out",)


@pytest.mark.parametrize(
    ("line", "level"),
    [("zug{}", "word"), ("später Zug {}", "name"), ("Der Zug {} hält.", "sentence")],
)
def test_the_level_follows_from_the_lines(
    tmp_path: Path, line: str, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.txt").write_text("\n".join(line.format(n) for n in range(50)))
    monkeypatch.setattr(text_survey, "can_identify", lambda language: False)
    survey = survey_text(str(tmp_path), "de")
    assert survey.level == level
    assert survey.settings.get("split_into") == (None if level == "sentence" else "lines")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text(german(1))
    monkeypatch.chdir(tmp_path)
    return lambda: str(survey_text("docs", "de").settings["paths"][0])


def test_a_path_is_that_of_the_working_folder(here: Callable[[], str], tmp_path: Path) -> None:
    assert here() == str(tmp_path / "docs")


def test_wordfreqs_list_needs_no_file() -> None:
    assert survey_text("wordfreq", "de").level == "word"
    with pytest.raises(CorpusError, match="no list for language 'et'"):
        survey_text("wordfreq", "et")


@pytest.fixture
def published(tmp_path: Path) -> Iterator[str]:
    """The address of a server with a folder of files."""
    folder = tmp_path / "published"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_file_of_a_publisher_is_pinned_by_its_checksum(published: str, tmp_path: Path) -> None:
    content = "\n".join(map(german, range(50))).encode()
    (tmp_path / "published" / "zug.txt").write_bytes(content)
    survey = survey_text(f"{published}/zug.txt", "de")
    host = published.removeprefix("http://")
    file = {
        "path": f"{host}/zug.txt",
        "sha256": hashlib.sha256(content).hexdigest(),
        "url": f"{published}/zug.txt",
    }
    assert survey.settings == {"source": "published", "files": [file]}
    with pytest.raises(CorpusError, match=f"the sampled text of {published}/zug.txt is in 'de'"):
        survey_text(f"{published}/zug.txt", "fr")
    with pytest.raises(CorpusError, match="names no file"):
        survey_text(f"{published}/", "de")
