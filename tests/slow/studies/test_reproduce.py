"""First difference between a recorded and a repeated run, and its reason."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mirror.release.reproduce import NOTHING_CHANGED, compare_lineages

BASE = "b" * 64


def stage(name: str, *above: str, **inputs: str) -> dict[str, Any]:
    return {
        **{"name": name, "key": "k", "digest": f"{name} 1", "module": name, "code": "code 1"},
        **{"inputs": inputs, "section": {"seed": 1}, "python": "3.11.7", "from": list(above)},
        **{"versions": {"numpy": "2.4.6"}, "files": {"a": "1", "b": "1"}},
    }


@pytest.fixture
def recorded() -> dict[str, Any]:
    """A run of three stages, not in their order."""
    return {
        "base": {"origin": "some/base", "digest": BASE},
        "stages": {
            "tune": stage("tune", "base", "sample", base=BASE, sample="sample 1"),
            "sample": stage("sample", "corpus", corpus="corpus 1"),
            "corpus": stage("corpus", **{"000000 a.txt": "file 1"}),
        },
    }


@pytest.fixture
def again(recorded: dict[str, Any]) -> dict[str, Any]:
    """The same made again."""
    return copy.deepcopy(recorded)


def alter(again: dict[str, Any], *roles: str) -> None:
    """Yield stages other bytes."""
    for role in roles:
        again["stages"][role] |= {"digest": f"{role} 2", "files": {"a": "2", "b": "1", "c": "1"}}


def reasons_by_stage(recorded: dict[str, Any], again: dict[str, Any]) -> dict[str, tuple[str, ...]]:
    verdicts = compare_lineages(recorded, again)
    assert [verdict.stage for verdict in verdicts] == ["corpus", "sample", "tune"]
    return {verdict.stage: verdict.reasons for verdict in verdicts if not verdict.same}


def test_equal_bytes_are_the_same_whatever_else_changed(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    again["stages"]["tune"] |= {"code": "code 2", "versions": {"numpy": "3"}, "key": "l"}
    assert reasons_by_stage(recorded, again) == {}


def test_bytes_that_nothing_explains_are_not_reproducible(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    alter(again, "tune")
    assert reasons_by_stage(recorded, again) == {"tune": (NOTHING_CHANGED,)}
    assert compare_lineages(recorded, again)[2].files == ("a", "c")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"code": "code 2"}, "code changed"),
        ({"versions": {"numpy": "3.0"}}, "library versions differ: numpy 2.4.6, now 3.0"),
        ({"versions": {}}, "library versions differ: numpy 2.4.6, now absent"),
        ({"python": "3.12.0"}, "library versions differ: python 3.11.7, now 3.12.0"),
        ({"section": {"seed": 2}}, "settings changed: defaults that the recipe"),
        ({"inputs": {"000000 a.txt": "file 2"}}, "source changed: 000000 a.txt"),
        ({"inputs": {"000000 b.txt": "file 1"}}, "source changed: 000000 a.txt, 000000 b.txt"),
    ],
)
def test_what_changed_is_named(
    recorded: dict[str, Any], again: dict[str, Any], change: dict[str, Any], reason: str
) -> None:
    alter(again, "corpus")
    again["stages"]["corpus"] |= change
    [found] = reasons_by_stage(recorded, again)["corpus"]
    assert found.startswith(reason)


def test_another_base_is_a_source_that_changed(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    alter(again, "tune")
    again["base"]["digest"] = again["stages"]["tune"]["inputs"]["base"] = "c" * 64
    assert reasons_by_stage(recorded, again) == {"tune": ("source changed: the base some/base",)}


def test_what_follows_from_another_stage_says_from_which(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    alter(again, "corpus", "sample", "tune")
    again["stages"]["sample"]["inputs"]["corpus"] = "corpus 2"
    again["stages"]["tune"]["inputs"]["sample"] = "sample 2"
    assert reasons_by_stage(recorded, again) == {
        "corpus": (NOTHING_CHANGED,),
        "sample": ("follows from corpus",),
        "tune": ("follows from sample",),
    }


def test_a_stage_that_was_not_made_is_a_difference(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    del again["stages"]["sample"]
    assert "missing" in reasons_by_stage(recorded, again)["sample"][0]


def test_a_lineage_that_goes_round_is_still_compared(
    recorded: dict[str, Any], again: dict[str, Any]
) -> None:
    recorded["stages"]["corpus"]["from"] = ["tune"]
    assert len(compare_lineages(recorded, again)) == 3
