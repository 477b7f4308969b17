"""Mails in files of their own and in mailboxes: what the sender wrote."""

from __future__ import annotations

import gzip
from email.message import EmailMessage
from pathlib import Path

import pytest
from pyarrow import fs

from mirror.corpus.formats.mail import NOT_MAIL, Mail, Mbox, own_paragraphs, own_subject
from mirror.corpus.input_files import InputFile
from mirror.corpus.sources.files import FilesSection
from mirror.documents import OVERSIZED, Document


def read(path: Path, raw: bytes) -> list[Document]:
    path.write_bytes(raw)
    packing = "gzip" if path.suffix == ".gz" else None
    file = InputFile(fs.LocalFileSystem(), str(path), path.name, "mail", packing)
    section = FilesSection(source="files", paths=(str(path),))
    file_format = Mbox() if ".mbox" in path.name else Mail()
    return list(file_format.read(file, section))


def test_subject_and_plain_text_are_title_and_body(tmp_path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "Re: [boats] Die Brücke"
    message.set_content("Sie ist offen.\n\n> Ist sie zu?\n-- \nAnn\n", cte="quoted-printable")
    message.add_alternative("<p>The same</p>", subtype="html")
    message.add_attachment("A list.", filename="list.txt")
    [document] = read(tmp_path / "a.eml", message.as_bytes())
    assert document == Document(
        "Sie ist offen.", "a.eml", title="Die Brücke", body="Sie ist offen."
    )


def test_html_is_read_where_there_is_no_plain_text(tmp_path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "Boats"
    page = "<table><tr><td><h2>News</h2><p>A boat.</p></td></tr></table><blockquote>No</blockquote>"
    message.set_content(page, subtype="html")
    [document] = read(tmp_path / "a.eml", message.as_bytes())
    assert document.text == "News\nA boat."


@pytest.mark.parametrize("charset", ["no-such-charset", "base64", ""])
def test_an_unknown_charset_is_read_as_the_corpus_encoding(tmp_path: Path, charset: str) -> None:
    head = (
        f"Subject: =?{charset or 'x'}?q?Br=C3=BCcke?=\nContent-Type: text/plain; charset={charset}"
    )
    good, broken = (
        read(tmp_path / "a.eml", f"{head}\n\n".encode() + body)
        for body in (b"\xc3\xbc", b"\xfcb ab")
    )
    assert (good[0].text, good[0].title) == ("ü", "Brücke")
    assert broken[0].text == "\ufffdb ab"


def test_mails_without_text_are_empty_and_other_files_have_a_fault(tmp_path: Path) -> None:
    assert read(tmp_path / "a.eml", b"Subject: Boats\n\n-- \nAnn\n") == [Document("", "a.eml")]
    assert [each.fault for each in read(tmp_path / "a.eml", b"\n\nA boat.\n")] == [NOT_MAIL]
    assert [each.fault for each in read(tmp_path / "a.eml", b"")] == [NOT_MAIL]


MAILBOX = b"""From ann Mon Jan  1 00:00:00 2026
Subject: Boats

>From here it is a boat.
From there, too.

From bob Mon Jan  1 00:00:00 2026
Subject: Oars

Two oars.
"""


@pytest.mark.parametrize("name", ["a.mbox", "a.mbox.gz"])
def test_the_mails_of_a_mailbox_are_read_in_order(tmp_path: Path, name: str) -> None:
    raw = gzip.compress(MAILBOX) if name.endswith("gz") else MAILBOX
    assert [(each.title, each.text) for each in read(tmp_path / name, raw)] == [
        ("Boats", "From here it is a boat. From there, too."),
        ("Oars", "Two oars."),
    ]


def test_an_oversized_mail_has_a_fault_and_the_next_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.documents.MAX_BYTES", 40)
    first, second = read(tmp_path / "a.mbox", MAILBOX)
    assert first == Document("mail 1", "a.mbox", fault=OVERSIZED)
    assert second.text == "Two oars."


@pytest.mark.parametrize(
    "prefix",
    ["", "Re: ", "RE: Fwd: ", "AW: WG:", "SV: TR: ", "Re[2]: ", "[boats] Re: [x] ", "回复："],
)
def test_prefixes_and_list_tags_are_no_part_of_the_subject(prefix: str) -> None:
    assert own_subject(f"{prefix}Rest:  of\n the [red] boat") == "Rest: of the [red] boat"


def test_wrapped_lines_are_joined_and_items_are_paragraphs() -> None:
    text = "Dear Bob,\n\nthe boat\nis red:\n- one oar\n  of ash\n- two oars\n\nAnn"
    assert own_paragraphs(text) == [
        "Dear Bob,",
        "the boat is red:",
        "one oar of ash",
        "two oars",
        "Ann",
    ]


@pytest.mark.parametrize(
    "attribution",
    [
        "On Mon, Jan 5, 2026 at 10:00 AM Bob <bob@a.test> wrote:",
        "On Mon, Jan 5, 2026 at 10:00 AM Bob\n<bob@a.test>\nwrote:",
        "Am 05.01.26 um 10:00 schrieb Bob:",
        "Le 5 janvier 2026, Bob a écrit :",
        "bob@a.test writes:",
    ],
)
@pytest.mark.parametrize("gap", ["\n", "\n\n"])
def test_quotations_and_their_attributions_are_left_out(attribution: str, gap: str) -> None:
    text = (
        f"Above.\n\n{attribution}{gap}> Is it red?\n>\n> > It is.\n\nYes.\n> And?\nNo:\n> Oh.\nEnd."
    )
    assert own_paragraphs(text) == ["Above.", "Yes.", "No:", "End."]


@pytest.mark.parametrize(
    "rest",
    [
        "-- \nAnn\nHarbour 1",
        "--\nAnn",
        "-----Original Message-----\nFrom: Bob\n\nIs it red?",
        "---------- Forwarded message ---------\nIs it red?",
        "_______________________________________________\nBoats mailing list",
        "-----BEGIN PGP SIGNATURE-----\nabc=\n-----END PGP SIGNATURE-----",
    ],
)
def test_signatures_footers_and_forwarded_mails_are_left_out(rest: str) -> None:
    assert own_paragraphs(f"A boat.\r\n\r\n{rest}") == ["A boat."]


def test_a_signed_mail_is_read() -> None:
    head = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n"
    assert own_paragraphs(f"{head}A boat.\n-----BEGIN PGP SIGNATURE-----\nabc") == ["A boat."]
