"""History page of a registered model: self-contained, escaped, newest version first."""

from __future__ import annotations

import re

from mirror.release.history import AliasChange, VersionSummary, render_history

NASTY = "<script>alert('x')</script> & \"more\""
OLD = VersionSummary(
    "1",
    "2026-01-02T03:04:05+00:00",
    "en-trades",
    "0123456789abcdef",
    {"likeness": (0.25, 0.5), "search": (None, 0.125)},
    "promote",
    f"Promoted:\n- {NASTY}",
    "rolled back",
    (
        AliasChange("promoted", "the gate", "2026-01-02T03:05:00+00:00"),
        AliasChange(
            "rolled back", NASTY, "2026-01-03T04:05:06+00:00", NASTY, "the gate refused version 1"
        ),
    ),
    (),
)
NEW = VersionSummary("2", OLD.created, NASTY, "", {}, "", "", NASTY, (), ("champion",))


def test_a_status_is_shown_once() -> None:
    assert OLD.status_lines == (
        "promoted by the gate, 2026-01-02 03:05",
        f"rolled back by {NASTY}, 2026-01-03 04:05, although the gate refused version 1: {NASTY}",
    )
    assert NEW.status_lines == (NASTY,)


def test_content_of_the_registry_is_escaped() -> None:
    page = render_history(NASTY, (OLD, NEW))
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &#34;more&#34;") >= 6


def test_the_page_loads_nothing() -> None:
    page = render_history("mirror-en-trades", (OLD, NEW))
    assert not re.findall(r"(?:src|href|action)\s*=", page)
    assert "http:" not in page and "https:" not in page and "@import" not in page
    assert "default-src 'none'" in page


def test_the_page_shows_scores_corpus_and_champion_newest_first() -> None:
    page = render_history("mirror-en-trades", (OLD, NEW))
    assert page.index("<h2>Version 2 · champion</h2>") < page.index("<h2>Version 1</h2>")
    assert "<td>likeness</td><td>.250</td><td>.500</td>" in page
    assert "<td>search</td><td>–</td><td>.125</td>" in page
    assert "corpus <code>0123456789</code>" in page
    assert "Version 2 is champion" in page
    assert "There is no champion" in render_history("m", (OLD,))
