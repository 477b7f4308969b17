"""Keys and links of the documentation pages."""

from __future__ import annotations

import re

import pytest
from pydantic import BaseModel

from mirror.paths import CHECKOUT
from mirror.recipe import Recipe

PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])


def keys_of(model: type[BaseModel]) -> set[str]:
    """Return the names of a section's keys and subsections."""
    found: set[str] = set()
    for name, field in model.model_fields.items():
        found.add(name)
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                found |= keys_of(part)
    return found


def test_every_key_of_a_recipe_is_documented() -> None:
    text = (CHECKOUT / "docs" / "recipes.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"`([^`]+)`", text))))
    assert keys_of(Recipe) - {"name"} <= documented


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_readme_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
