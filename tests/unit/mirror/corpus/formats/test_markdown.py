"""Sections of Markdown."""

from __future__ import annotations

from mirror.corpus.formats.markdown import markdown_sections
from mirror.corpus.html_sections import TextSection


def test_both_kinds_of_headings_begin_sections() -> None:
    text = (
        "Before.\n\nBoats\n=====\n\nA *red* boat\nfloats.\n\n"
        "## `Oars` #\n\n- one\n- two [oars](x)\n"
    )
    assert markdown_sections(text) == [
        TextSection("", ["Before."]),
        TextSection("Boats", ["A red boat floats."]),
        TextSection("Oars", ["one", "two oars"]),
    ]


def test_code_tables_images_and_front_matter_are_no_text() -> None:
    text = (
        "---\ntitle: Boats\n---\n# Boats\n\n[![status](a.svg)](b)\n\n```\n# no heading\n```\n\n"
        "    row()\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<p align='center'><img src='a.png'></p>\n"
    )
    assert markdown_sections(text) == [TextSection("Boats", [])]


def test_blocks_of_html_are_read_and_tags_in_a_sentence_hide_nothing() -> None:
    text = "<h1 align='center'>Boats</h1>\n\nUse <nav> or<br><b>oars</b>.\n\nTwo oars.\n"
    assert markdown_sections(text) == [TextSection("Boats", ["Use or oars.", "Two oars."])]


def test_an_empty_file_has_no_section() -> None:
    assert markdown_sections("") == []
