"""History page of a registered model: self-contained, escaped, newest version first."""

from __future__ import annotations

import re
from dataclasses import replace

from mirror.release.history import (
    AliasChange,
    GenerationScore,
    VersionSummary,
    generation_scores,
    render_history,
)

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
    assert "<td>likeness</td><td>.250</td><td>.500</td><td>–</td>" in page
    assert "<td>search</td><td>–</td><td>.125</td><td>–</td>" in page
    assert "corpus <code>0123456789</code>" in page
    assert "Version 2 is champion" in page
    assert "There is no champion" in render_history("m", (OLD,))


def generations(*scores: float) -> list[VersionSummary]:
    """Versions, each tuned from the one before, with scores on a general benchmark."""
    return [
        replace(
            OLD,
            number=str(number),
            parent=str(number - 1) if number > 1 else "",
            scores={"search": (0.2, 0.2 + number / 10), "stsb": (score, score)},
            general=frozenset({"stsb"}),
        )
        for number, score in enumerate(scores, start=1)
    ]


def test_a_slow_loss_of_general_quality_is_marked_since_the_first_generation() -> None:
    versions = generations(0.75, 0.7425, 0.735)
    changes = [generation_scores(each, versions, general=True)[0] for each in versions]
    assert [line.first for line in changes] == ["", "1", "1"]
    assert [line.is_loss for line in changes] == [False, False, True]
    [search] = generation_scores(versions[2], versions, general=False)
    assert (search.benchmark, search.first, round(search.change, 6)) == ("search", "1", 0.2)
    page = render_history("m", versions)
    assert (
        page.count("<h3>General quality</h3>") == page.count("<h3>Scores in the domain</h3>") == 3
    )
    assert '<b class="loss">−.015 loss</b> (version 1)' in page
    assert page.count(" loss</b>") == 1


def test_the_first_version_with_a_score_is_compared_with() -> None:
    versions = generations(0.75, 0.7425, 0.735)
    versions[0] = replace(versions[0], scores={"search": (0.2, 0.3)})
    [line] = generation_scores(versions[2], versions, general=True)
    assert (line.first, line.is_loss) == ("2", False)


def test_a_version_with_another_base_has_no_generations() -> None:
    [line] = generation_scores(OLD, (OLD, NEW), general=False)[:1]
    assert line == GenerationScore("likeness", 0.25, 0.5)
    circle = [replace(OLD, number="1", parent="2"), replace(OLD, number="2", parent="1")]
    assert generation_scores(circle[0], circle, general=False)
