"""What those who hold an index are told when the champion changes."""

from __future__ import annotations

from typing import Any

import pytest

from tasks.registry.indexes import word_on_indexes


def version(number: str, **tags: str) -> Any:
    from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

    kept = [ModelVersionTag(key, value) for key, value in tags.items()]
    return ModelVersion("mirror-en-trades", number, 0, tags=kept)


@pytest.mark.parametrize("verdict", ["keep", "rotate", "re-embed"])
def test_what_a_versions_own_report_says_is_told(verdict: str) -> None:
    new = version("3", compatibility=verdict, compared_with="2", recipe="en-trades")
    said = word_on_indexes(version("2"), new)
    assert said == (
        f"An index of version 2's vectors: {verdict}. Report and map are in compatibility/ of "
        "version 3's run."
    )


@pytest.mark.parametrize(
    ("before", "tags"),
    [
        ("2", {}),
        ("2", {"compared_with": "2"}),
        ("4", {"compatibility": "keep", "compared_with": "2"}),
        ("2", {"compatibility": "fine", "compared_with": "2"}),
    ],
    ids=["never compared", "the gate refused it", "another champion's", "no verdict of ours"],
)
def test_without_a_report_on_this_very_change_one_command_makes_it(
    before: str, tags: dict[str, str]
) -> None:
    said = word_on_indexes(version(before), version("3", recipe="en-trades", **tags))
    assert said.endswith(
        f"mirror compare models:/mirror-en-trades/{before} models:/mirror-en-trades/3 "
        "--recipe en-trades --save-map map.npz"
    )


@pytest.mark.parametrize("recipe", ["", "x; rm -rf .", "\x1b[31mred", "--out", "../x"])
def test_a_recipe_that_is_no_name_gets_into_no_command(recipe: str) -> None:
    said = word_on_indexes(version("2"), version("3", recipe=recipe))
    assert said.endswith("models:/mirror-en-trades/3 --texts FILE --save-map map.npz")


def test_of_the_same_encoder_nothing_has_to_be_compared() -> None:
    said = word_on_indexes(version("2", encoder_digest="a"), version("3", encoder_digest="a"))
    assert said == "It is the same encoder as version 2: an index can stay as it is."
