"""Comparison of a file's deployments with a server's."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.errors import InputError
from tasks import deployments
from tasks.deployment_file import Deployment
from tasks.deployments import DeploymentDiff, compare, pause_unready

TAG = "ours"
CRON = {"cron": "0 3 * * 1", "timezone": "UTC", "active": True}


def deployment(name: str, tags: tuple[str, ...] = (TAG,), **changes: Any) -> Deployment:
    schedules = changes.pop("schedules", {"weekly": CRON})
    fields = {"parameters": {"recipe": name}, "description": "text", **changes}
    return {**fields, "schedules": schedules, "tags": list(tags)}


def by_name(*deployments: Deployment) -> dict[str, Deployment]:
    return {f"f/{one['parameters']['recipe']}": one for one in deployments}


def test_equal_deployments_have_no_diff() -> None:
    diff = compare(TAG, by_name(deployment("a")), by_name(deployment("a")))
    assert diff == DeploymentDiff()
    assert not diff


def test_new_changed_and_removed_are_listed() -> None:
    wanted = by_name(deployment("a"), deployment("b", description="new text"), deployment("c"))
    there = by_name(
        deployment("b"), deployment("c", schedules={"weekly": CRON, "daily": CRON}), deployment("d")
    )
    diff = compare(TAG, wanted, there)
    assert diff
    assert diff.lines == (
        "+ f/a",
        "~ f/b: description text → new text",
        "- f/c: schedule daily",
        "- f/d",
    )
    assert (diff.written, diff.removed) == (("f/a", "f/b", "f/c"), ("f/d",))


def test_each_part_of_a_schedule_that_differs_is_named() -> None:
    paused = {"weekly": {**CRON, "active": False, "cron": "0 4 * * 1"}}
    wanted = by_name(deployment("a", schedules={"weekly": CRON, "daily": CRON}))
    diff = compare(TAG, wanted, by_name(deployment("a", schedules=paused)))
    assert diff.lines[:2] == (
        "~ f/a: schedule weekly: cron 0 4 * * 1 → 0 3 * * 1",
        "~ f/a: schedule weekly: active false → true",
    )
    assert diff.lines[2].startswith("~ f/a: new schedule daily")
    assert (diff.written, diff.removed) == (("f/a",), ())


def test_a_default_of_the_server_is_no_difference() -> None:
    there = {"weekly": {**CRON, "anchor_date": "2026-01-01"}}
    assert not compare(TAG, by_name(deployment("a")), by_name(deployment("a", schedules=there)))


def test_a_field_that_the_file_no_longer_has_is_listed() -> None:
    there = deployment("a", collision_strategy="ENQUEUE")
    diff = compare(TAG, by_name(deployment("a")), by_name(there))
    assert diff.lines == ("~ f/a: collision_strategy ENQUEUE → null",)


def test_deployments_without_the_tag_are_ignored() -> None:
    assert not compare(
        TAG, by_name(deployment("a")), by_name(deployment("a"), deployment("z", tags=("theirs",)))
    )


def test_a_deployment_without_the_tag_but_of_our_name_is_an_error() -> None:
    with pytest.raises(InputError, match=r"f/a is on the server without the tag ours"):
        compare(TAG, by_name(deployment("a")), by_name(deployment("a", tags=())))


def test_what_cannot_run_here_is_paused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = {"de-wikipedia": "the hub does not answer"}
    monkeypatch.setattr(deployments, "missing_part", lambda recipe: reasons.get(recipe.name, ""))
    names = ("en-python-docs", "de-wikipedia", "of-another-machine")
    declared = by_name(*(deployment(name, schedules={"weekly": dict(CRON)}) for name in names))
    assert pause_unready(declared) == {"f/de-wikipedia": "the hub does not answer"}
    active = {name: one["schedules"]["weekly"]["active"] for name, one in declared.items()}
    assert active == {
        "f/en-python-docs": True,
        "f/de-wikipedia": False,
        "f/of-another-machine": True,
    }
