"""What a prefect.yaml says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from prefect.client.schemas.schedules import construct_schedule
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values

from mirror.errors import InputError
from tasks.deployments import Deployment

KEYS = {
    "concurrency_limit",
    "description",
    "enforce_parameter_schema",
    "entrypoint",
    "name",
    "parameters",
    "paused",
    "pull",
    "schedules",
    "tags",
    "version",
    "work_pool",
}
CONCURRENCY = ("collision_strategy", "grace_period_seconds")
SCHEDULE_KEYS = ("cron", "interval", "rrule", "anchor_date", "timezone")
SCHEDULE_MARKS = ("slug", "active", "parameters")


def read_file(path: Path) -> tuple[str, dict[str, Deployment]]:
    """The tag of a file's deployments, and the deployments by name.

    Raises:
        InputError: the file is missing or wrong, or holds what cannot be compared.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        tag, listed = content["name"], content["deployments"]
        if not isinstance(tag, str) or not all(isinstance(one, dict) for one in listed):
            raise TypeError("name is to be a text, and deployments a list of mappings")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise InputError(f"{path} cannot be read: {error}: correct it as Prefect's docs say") from (
            error
        )
    found: dict[str, Deployment] = {}
    for raw in listed:
        made = _deployment(_filled(raw), content, path)
        if tag not in made.tags:
            raise InputError(f"{path}: {made.name} lacks the tag {tag}, by which it is known again")
        if made.name in found:
            raise InputError(f"{path}: {made.name} is there twice: rename one")
        found[made.name] = made
    return tag, found


def _filled(raw: dict[str, Any]) -> Any:
    # `{{ $NAME }}` is a variable of the environment; other templates are Prefect's to fill in.
    return apply_values(raw, dict(os.environ), remove_notset=False)


def _deployment(raw: Mapping[str, Any], content: Mapping[str, Any], path: Path) -> Deployment:
    if unknown := set(raw) - KEYS:
        listed = ", ".join(sorted(unknown))
        raise InputError(
            f"{path}: {raw.get('name')} has {listed}, which is not compared: remove it"
        )
    try:
        flow: Flow[..., Any] = load_flow_from_entrypoint(raw["entrypoint"])
        name = f"{flow.name}/{raw['name']}"
        pool = raw["work_pool"]
        limit = raw.get("concurrency_limit")
        limits = limit if isinstance(limit, dict) else {"limit": limit}
        settings = {
            "entrypoint": raw["entrypoint"],
            "version": raw.get("version"),
            "description": (raw.get("description") or flow.description or "").strip(),
            "tags": sorted(raw.get("tags") or []),
            "parameters": raw.get("parameters") or {},
            "work_pool": {
                "name": pool["name"],
                "work_queue_name": pool.get("work_queue_name") or "default",
                "job_variables": pool.get("job_variables") or {},
            },
            "concurrency_limit": limits.get("limit"),
            **{key: limits[key] for key in CONCURRENCY if limits.get(key) is not None},
            "enforce_parameter_schema": raw.get("enforce_parameter_schema", True),
            "paused": bool(raw.get("paused")),
            "pull": raw.get("pull", content.get("pull")) or [],
            "the flow's parameters": parameter_schema(flow).model_dump(exclude_unset=True),
        }
    except (KeyError, TypeError, AttributeError, ValueError, ImportError) as error:
        told = f"{type(error).__name__}: {error}"
        raise InputError(f"{path}: deployment {raw.get('name')} cannot be made: {told}") from error
    schedules = [_schedule(one, name, path) for one in raw.get("schedules") or []]
    if len({slug for slug, _ in schedules}) < len(schedules):
        raise InputError(f"{path}: {name} has two schedules of one slug: rename one")
    return Deployment(name, settings, dict(schedules), frozenset(settings["tags"]))


def _schedule(raw: Mapping[str, Any], name: str, path: Path) -> tuple[str, dict[str, Any]]:
    if unknown := set(raw) - {*SCHEDULE_KEYS, *SCHEDULE_MARKS}:
        raise InputError(
            f"{path}: a schedule of {name} has {', '.join(sorted(unknown))}: remove it"
        )
    if not raw.get("slug"):
        raise InputError(f"{path}: a schedule of {name} has no slug: give it one to be known by")
    try:
        timing = construct_schedule(**{key: raw[key] for key in SCHEDULE_KEYS if key in raw})
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: schedule {raw['slug']} of {name}: {error}") from error
    given = {"active": raw.get("active", True), "parameters": raw.get("parameters") or {}}
    return raw["slug"], {**shown_timing(timing, "anchor_date" in raw), **given}


def shown_timing(timing: Any, anchored: bool) -> dict[str, Any]:
    """A Prefect schedule as plain values, less what was left open.

    Args:
        timing: a cron, interval or rrule schedule.
        anchored: whether it was said from when on an interval counts.
    """
    plain = timing.model_dump(mode="json")
    plain["timezone"] = plain.get("timezone") or "UTC"
    if not anchored:
        plain.pop("anchor_date", None)
    return {key: value for key, value in plain.items() if value is not None}
