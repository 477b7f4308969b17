"""How a file's deployments and a server's are compared."""

from __future__ import annotations

from typing import Any

import pytest

from mirror.errors import InputError
from tasks.deployments import Deployment
from tasks.deployments.drift import Drift, compare

TAG = "ours"
CRON = {"cron": "0 3 * * 1", "timezone": "UTC", "active": True}


def made(name: str, tags: tuple[str, ...] = (TAG,), **changes: Any) -> Deployment:
    schedules = changes.pop("schedules", {"weekly": CRON})
    settings = {"parameters": {"recipe": name}, "description": "text", **changes}
    return Deployment(f"f/{name}", settings, schedules, frozenset(tags))


def by_name(*found: Deployment) -> dict[str, Deployment]:
    return {one.name: one for one in found}


def test_the_same_is_no_drift() -> None:
    drift = compare(TAG, by_name(made("a")), by_name(made("a")))
    assert drift == Drift()
    assert not drift


def test_new_changed_and_gone_are_told_apart() -> None:
    wanted = by_name(made("a"), made("b", description="new text"), made("c"))
    there = by_name(made("b"), made("c", schedules={"weekly": CRON, "daily": CRON}), made("d"))
    drift = compare(TAG, wanted, there)
    assert drift
    assert drift.lines == (
        "+ f/a",
        "~ f/b: description text → new text",
        "- f/c: schedule daily",
        "- f/d",
    )


def test_each_part_of_a_schedule_that_differs_is_named() -> None:
    paused = {"weekly": {**CRON, "active": False, "cron": "0 4 * * 1"}}
    wanted = by_name(made("a", schedules={"weekly": CRON, "daily": CRON}))
    [(_, texts)] = compare(TAG, wanted, by_name(made("a", schedules=paused))).changed
    assert texts[:2] == (
        "schedule weekly: cron 0 4 * * 1 → 0 3 * * 1",
        "schedule weekly: active false → true",
    )
    assert texts[2].startswith("new schedule daily")


def test_what_the_server_chose_for_itself_is_no_drift() -> None:
    there = {"weekly": {**CRON, "anchor_date": "2026-01-01"}}
    assert not compare(TAG, by_name(made("a")), by_name(made("a", schedules=there)))


def test_a_setting_that_the_file_no_longer_has_is_told() -> None:
    there = made("a", collision_strategy="ENQUEUE")
    [(_, texts)] = compare(TAG, by_name(made("a")), by_name(there)).changed
    assert texts == ("collision_strategy ENQUEUE → null",)


def test_somebody_elses_are_left_alone() -> None:
    assert not compare(TAG, by_name(made("a")), by_name(made("a"), made("z", tags=("theirs",))))


def test_somebody_elses_of_our_name_is_refused() -> None:
    with pytest.raises(InputError, match=r"f/a is on the server without the tag ours"):
        compare(TAG, by_name(made("a")), by_name(made("a", tags=())))
