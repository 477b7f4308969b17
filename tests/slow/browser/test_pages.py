"""The pages in a real browser: whole offline, at a phone's and a desk's width, no complaint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mirror.release.gate import Verdict
from mirror.release.history import AliasChange, VersionSummary, render_history
from mirror.release.index_compatibility import compare_spaces, render_compatibility
from mirror.release.report import render_report
from mirror.release.run_results import RunResults

LONG = "mirror-en-" + "x" * 90
NASTY = "<img src=x onerror=alert(1)><script>alert(2)</script>"
FRAME = """<!doctype html><body style="margin:0"><iframe src="page.html"
style="border:0;width:{width}px;height:900px"></iframe><script>
onload = () => {{
  const page = document.querySelector("iframe").contentDocument;
  document.title = JSON.stringify({{
    wide: page.documentElement.scrollWidth, room: page.documentElement.clientWidth,
    text: page.body.innerText.length,
    scripts: page.scripts.length,
    font: getComputedStyle(page.body).fontVariantNumeric
  }});
}};</script>"""


def history_page(_: RunResults) -> str:
    moves = (
        AliasChange("promoted", "the gate", "2026-01-02T03:05:00+00:00"),
        AliasChange(
            "rolled back", "ann@" + "h" * 60, "2026-01-03T04:05:06+00:00", NASTY + "y" * 200
        ),
    )
    scores = {"passage-retrieval": (0.25, 0.5), LONG: (None, 0.125)}
    lines = [
        VersionSummary(
            str(number),
            "2026-01-02T03:04:05+00:00",
            LONG,
            "0123456789abcdef" * 4,
            scores,
            "promote",
            f"Promoted:\n- {NASTY}",
            "rolled back",
            moves,
            ("challenger", "champion") if number == 3 else (),
        )
        for number in (1, 2, 3)
    ]
    return render_history(LONG, lines)


def report_page(results: RunResults) -> str:
    return render_report(results, Verdict(True, (NASTY, "y" * 200)))


def compatibility_page(_: RunResults) -> str:
    drawn = np.random.default_rng(0).standard_normal((2, 120, 12)).astype(np.float32)
    found, _ = compare_spaces(drawn[0], drawn[1][:, :9])
    return render_compatibility(f"models:/{LONG}/2", NASTY, found)


@pytest.fixture(scope="session")
def chromium() -> str:
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no chromium on this machine: Debian's package of that name")
    return found


def look(chromium: str, folder: Path, width: int) -> tuple[dict[str, object], list[str]]:
    """Return the page in a frame of a width, and the browser's complaints."""
    (folder / "frame.html").write_text(FRAME.format(width=width))
    done = subprocess.run(
        [
            *(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--allow-file-access-from-files", "--enable-logging=stderr", "--log-level=0"),
            *("--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=2000"),
            *(f"--user-data-dir={folder / 'profile'}", f"--window-size={max(width, 600)},900"),
            (folder / "frame.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title, done.stderr[-2_000:]
    return json.loads(title[1]), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("render", [history_page, compatibility_page, report_page])
def test_a_page_fits_and_nothing_is_complained_of(
    chromium: str,
    results: RunResults,
    tmp_path: Path,
    render: Callable[[RunResults], str],
    width: int,
) -> None:
    (tmp_path / "page.html").write_text(render(results), encoding="utf-8")
    page, complaints = look(chromium, tmp_path, width)
    assert complaints == []
    assert page["wide"] == page["room"] > width - 30  # but for a scroll bar
    assert int(str(page["text"])) > 300
    assert page["scripts"] == 0
    assert page["font"] == "tabular-nums"  # the page's own style is in force


def test_a_page_that_does_not_fit_or_is_complained_of_would_be_noticed(
    chromium: str, tmp_path: Path
) -> None:
    head = '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'">'
    body = "<body><script>alert(1)</script><hr width=900></body>"
    (tmp_path / "page.html").write_text(f"<!doctype html><html><head>{head}</head>{body}</html>")
    page, complaints = look(chromium, tmp_path, 390)
    assert int(str(page["wide"])) > 900
    assert page["room"] == 390
    assert complaints
