"""Headings and paragraphs of HTML, and what of it is no text."""

from __future__ import annotations

import time

import pytest

from mirror.corpus.html_sections import TextSection, html_sections, section_documents


def paragraphs(page: str) -> list[str]:
    return [text for section in html_sections(page) for text in section.paragraphs]


def test_a_section_has_the_text_up_to_the_next_heading() -> None:
    page = """<p>Before.</p><h1>Boats</h1><div>A <b>red</b> boat<br>floats. <p>It has oars.</div>
    <ul><li>A mast<li>A sail</ul><h2>Oars &amp; <code>sails</code></h2><h3>Wood</h3>Of ash."""
    assert html_sections(page) == [
        TextSection("", ["Before."]),
        TextSection("Boats", ["A red boat floats.", "It has oars.", "A mast", "A sail"]),
        TextSection("Oars & sails", []),
        TextSection("Wood", ["Of ash."]),
    ]


@pytest.mark.parametrize(
    "markup",
    [
        "<script>if (a < b) row()</script>",
        "<style>p { color: red }</style>",
        "<nav><p>Home</p></nav>",
        "<header><h1>The site</h1></header>",
        "<footer>Imprint</footer>",
        "<pre><code>row()</code></pre>",
        "<table><tr><td>3</td></tr></table>",
        "<!-- a comment -->",
        "<ul><li><a href='#oars'>Oars</a></li></ul>",
        "<div role='navigation'>Next</div>",
        "<p hidden>Draft</p>",
        "<img alt='A boat' src='boat.png'>",
    ],
)
def test_code_tables_and_navigation_are_no_text(markup: str) -> None:
    assert html_sections(f"<p>One oar.</p>{markup}<p>Two oars.</p>") == [
        TextSection("", ["One oar.", "Two oars."])
    ]


def test_of_a_page_with_a_main_element_only_that_is_read() -> None:
    page = """<h2>Menu</h2><p>Login</p><main><header><h1>Boats</h1><p>By Ann</p></header>
    <p>A boat.</p></main><p>Imprint</p>"""
    assert html_sections(page) == [TextSection("Boats", ["A boat."])]


def test_a_link_from_a_heading_to_itself_is_no_part_of_the_title() -> None:
    page = "<h2>In C#<a href='#c'>#</a></h2><p>A boat.</p><h2>Oars<a class='headerlink'>x</a></h2>"
    assert [section.heading for section in html_sections(page)] == ["In C#", "Oars"]


def test_elements_that_are_never_closed_hide_no_text() -> None:
    page = "<h1>Boats<p>One oar.<h2>Sails<p><a href='x'>Two<a href='y'> oars</a> row.</b></div>"
    assert html_sections(page) == [
        TextSection("Boats", ["One oar."]),
        TextSection("Sails", ["Two oars row."]),
    ]


@pytest.mark.parametrize("malformed", ["<![if IE]>", "<![x>", "<!>", "</>", "<?php a ?>"])
def test_malformed_declarations_are_comments(malformed: str) -> None:
    assert paragraphs(f"<p>One {malformed}oar.") == ["One oar."]


def test_time_is_linear_in_the_depth_of_elements() -> None:
    before = time.process_time()
    assert paragraphs("<div><b>" * 100_000 + "A boat." + "</i>" * 100_000) == ["A boat."]
    assert time.process_time() - before < 5


def test_documents_have_titles_of_letters_and_are_empty_without_text() -> None:
    sections = [
        TextSection("Boats", ["One oar.", "Two oars."]),
        TextSection("1.2.0 (2026-01-30)", ["A boat was added."]),
        TextSection("Version", ["2026-01-30"]),
        TextSection("Code only", []),
        TextSection("小舟", ["水の上を進む。"]),
    ]
    found = list(section_documents(sections, "a.html"))
    assert [(document.text, document.title, document.body) for document in found] == [
        ("One oar.\nTwo oars.", "Boats", "One oar. Two oars."),
        ("A boat was added.", "", ""),
        ("2026-01-30", "", ""),
        ("", "", ""),
        ("水の上を進む。", "小舟", "水の上を進む。"),
    ]
    assert {document.source for document in found} == {"a.html"}
    assert [document.text for document in section_documents([], "a.html")] == [""]
