"""Text made of a few templates is told before tuning."""

from __future__ import annotations

import random
from itertools import product

import pytest

from mirror.corpus.text_templates import MEASURED, template_share
from mirror.release.notices import profile_notices

pytestmark = pytest.mark.case("templates")

PROFILE = {"strings": 1_000, "drawn": 1_000, "unknown_characters": 0.0, "pieces_per_character": 0.3}
NAMES = [f"{first}{second}" for first, second in product("abcdefghij", ("nna", "ert", "ora"))]


def filled(template: str, count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    texts = (template.format(draw.choice(NAMES), draw.randrange(10**6)) for _ in range(count))
    return list(dict.fromkeys(texts))


def prose(count: int) -> list[str]:
    """Sentences of random frequent words, each in its own order."""
    draw = random.Random(2)
    words = [f"word{number}" for number in range(300)]
    return [" ".join(draw.choices(words, k=draw.randrange(5, 15))) for _ in range(count)]


@pytest.mark.parametrize(
    "template",
    [
        "Dear {}, your order {} was shipped today.",
        "{} has opened the ticket number {} about the printer",
        "Die Rechnung von {} über {} Euro ist bezahlt.",
        "{}さんの注文番号{}は本日発送されました。",
    ],
)
def test_texts_that_differ_by_a_name_and_a_number_are_counted(template: str) -> None:
    texts = filled(template, 300)
    assert template_share(texts) > 0.95
    mixed = [*texts, *prose(900)]
    assert 0.2 < template_share(mixed) < 0.3


def test_sentences_in_their_own_order_are_no_templates() -> None:
    assert template_share(prose(3_000)) < 0.01


def test_short_and_few_texts_are_no_templates() -> None:
    assert template_share([f"Return {name}" for name in NAMES]) == 0
    assert template_share(filled("Dear {}, your order {} was shipped.", 5)) == 0
    assert template_share([]) == 0


def test_only_the_first_texts_are_measured() -> None:
    texts = prose(MEASURED)
    assert template_share([*texts, *filled("Dear {}, your order {} is here.", 500)]) == (
        template_share(texts)
    )


@pytest.mark.parametrize(("share", "count"), [(0.2, 0), (0.75, 1)])
def test_a_notice_has_the_figure_and_what_helps(share: float, count: int) -> None:
    found = list(profile_notices({**PROFILE, "templates": share}))
    assert len(found) == count
    if found:
        assert found[0].text.startswith("750 strings are made from templates, as estimated (75.0%)")
        assert "corpus.near_duplicates" in found[0].remedy
