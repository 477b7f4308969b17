"""What a sender wrote: without prefixes, quotations and signatures."""

from __future__ import annotations

import pytest

from mirror.corpus.mail_text import own_paragraphs, own_subject


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
