"""Selection of recipes by names, languages and domains."""

from __future__ import annotations

from pathlib import Path

import pytest

from mirror.errors import RecipeError
from mirror.recipe_selection import RecipeSelection, choose_recipes, read_checked_recipe

RECIPE = """
language = "{language}"
domain = "{domain}"
level = "sentence"
[corpus]
source = "docstrings"
[base]
path = "models/mirror-mini-en"
[evaluation]
benchmarks = ["passage-retrieval"]
[registry]
model = "{model}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four recipes of three languages and two domains."""
    for language, domain in (("de", "law"), ("de", "news"), ("es", "law"), ("en", "news")):
        text = RECIPE.format(language=language, domain=domain, model=f"m-{language}-{domain}")
        (tmp_path / f"{language}-{domain}.toml").write_text(text)
    return tmp_path


def chosen(folder: Path, **choice) -> list[str]:
    return [recipe.name for recipe in choose_recipes(RecipeSelection(**choice), folder)]


def test_everything_selects_all_recipes(folder) -> None:
    assert chosen(folder, everything=True) == ["de-law", "de-news", "en-news", "es-law"]


def test_a_recipe_must_have_one_of_the_languages_and_one_of_the_domains(folder) -> None:
    assert chosen(folder, languages=("de", "es")) == ["de-law", "de-news", "es-law"]
    assert chosen(folder, domains=("law",)) == ["de-law", "es-law"]
    assert chosen(folder, languages=("de",), domains=("law",)) == ["de-law"]


def test_named_recipes_keep_their_order(folder) -> None:
    assert chosen(folder, names=("es-law", "de-law")) == ["es-law", "de-law"]
    assert RecipeSelection(names=("a",)).is_one
    assert not RecipeSelection(names=("a", "b")).is_one
    assert not RecipeSelection(everything=True).is_one


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({}, "one of the two"),
        ({"names": ("de-law",), "languages": ("de",)}, "one of the two"),
        ({"names": ("de-law",), "everything": True}, "one of the two"),
        ({"languages": ("de", "fr")}, r"the language fr: there are de-law \(de, law\)"),
        ({"domains": ("sports",)}, "the domain sports"),
        ({"languages": ("en",), "domains": ("law",)}, "both this language and this domain"),
        ({"names": ("de-law", "nl-law")}, r"no recipe is called 'nl-law' \(nearest: ..-law\)"),
        ({"names": ("de-law", "de-law")}, "de-law and de-law register the same model m-de-law"),
    ],
)
def test_a_selection_without_recipes_is_refused(folder, choice, said) -> None:
    with pytest.raises(RecipeError, match=said):
        chosen(folder, **choice)


def test_the_faults_of_all_recipes_are_listed(folder) -> None:
    for name in ("de-law", "es-law"):
        (folder / f"{name}.toml").write_text("level = 3")
    with pytest.raises(RecipeError) as caught:
        chosen(folder, everything=True)
    assert "de-law.toml" in str(caught.value)
    assert "es-law.toml" in str(caught.value)


def test_unknown_names_are_listed_together_with_other_faults(folder) -> None:
    (folder / "es-law.toml").write_text("level = 3")
    with pytest.raises(RecipeError) as caught:
        chosen(folder, names=("de-lawn", "es-law", "zulu", "de-lawn"))
    assert "es-law.toml has" in str(caught.value)
    [line] = [line for line in str(caught.value).splitlines() if "no recipe is called" in line]
    assert "called 'de-lawn' (nearest: de-law) or 'zulu': there are de-law, de-news," in line
    assert str(caught.value).count("`mirror recipes` lists all") == 1


@pytest.mark.parametrize(
    ("benchmarks", "said"),
    [('["stsbb"]', "no benchmark at"), ('["sample-space"]', "gate uses none of sample-space")],
)
def test_faulty_benchmarks_are_listed_with_their_recipe(folder, benchmarks, said) -> None:
    path = folder / "de-law.toml"
    path.write_text(path.read_text().replace('["passage-retrieval"]', benchmarks))
    with pytest.raises(RecipeError, match=f"de-law: .*{said}"):
        read_checked_recipe("de-law", folder)
    with pytest.raises(RecipeError, match=f"de-law: .*{said}"):
        chosen(folder, everything=True)
