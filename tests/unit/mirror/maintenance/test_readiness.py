"""Whether recipes can run on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mirror.maintenance import readiness
from mirror.maintenance.readiness import check_recipes, missing_part
from mirror.paths import SHIPPED_BASE
from tests.fixtures.recipes import make_recipe

COMMIT = "0" * 40
HUB_BASE = {"hub": "someone/some-base", "revision": COMMIT}
RETRIEVAL = {"benchmarks": ["passage-retrieval"]}


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No hub in reach, and none remembered."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    readiness._hub_fault.cache_clear()
    yield
    readiness._hub_fault.cache_clear()


@pytest.fixture
def text(tmp_path: Path) -> dict[str, object]:
    """A `[corpus]` that is on this machine."""
    (tmp_path / "a.txt").write_text("A red boat floats.\n")
    return {"source": "files", "paths": [str(tmp_path)]}


def test_a_recipe_whose_parts_are_here_is_ready(text: dict[str, object]) -> None:
    base = {"path": str(SHIPPED_BASE)}
    assert missing_part(make_recipe(corpus=text, base=base, evaluation=RETRIEVAL)) == ""


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"base": HUB_BASE}, "hub not checked: HF_HUB_OFFLINE is set"),
        ({"corpus": {"source": "hub", "dataset": "a/b", "revision": COMMIT}}, "HF_HUB_OFFLINE"),
        ({"corpus": {"source": "files", "paths": ["/no/text"]}}, "no text at /no/text"),
        ({"base": {"path": "/no/base"}}, "no base model at /no/base"),
        ({"evaluation": {"benchmarks": ["none"]}}, "none"),
    ],
)
def test_the_first_missing_part_is_named(
    text: dict[str, object], changes: dict[str, object], reason: str
) -> None:
    whole = {"corpus": text, "base": {"path": str(SHIPPED_BASE)}, "evaluation": RETRIEVAL}
    found = missing_part(make_recipe(**{**whole, **changes}))
    assert reason in found
    assert "\n" not in found


def test_a_hub_that_answers_is_enough(
    text: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "_ask_hub", lambda: None)
    assert missing_part(make_recipe(corpus=text, base=HUB_BASE, evaluation=RETRIEVAL)) == ""


def test_recipes_are_listed_by_their_reason() -> None:
    ready, waiting = check_recipes(("de-wikipedia", "en-python-docs", "fr-wikipedia"))
    assert (ready.state, ready.text) == ("ok", "ready: en-python-docs")
    assert waiting.text.startswith("not ready: de-wikipedia, fr-wikipedia: hub not checked")
    assert waiting.remedy
