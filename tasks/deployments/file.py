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
NEEDED = ("name", "entrypoint", "work_pool")
CONCURRENCY = ("collision_strategy", "grace_period_seconds")
SCHEDULE_KEYS = ("cron", "interval", "rrule", "anchor_date", "timezone")
SCHEDULE_MARKS = ("slug", "active", "parameters")


def read_file(path: Path) -> tuple[str, dict[str, Deployment]]:
    """The tag of a file's deployments, and the deployments by name.

    Raises:
        InputError: the file is missing or wrong, or holds what cannot be compared.
    """
    content = _content(path)
    tag = content["name"]
    found: dict[str, Deployment] = {}
    for number, raw in enumerate(content["deployments"], 1):
        _check(raw, f"{path}: deployment {raw.get('name') or f'number {number}'}")
        made = _deployment(_filled(raw), content, path)
        if tag not in made.tags:
            raise InputError(f"{path}: {made.name} lacks the tag {tag}, by which it is known again")
        if made.name in found:
            raise InputError(f"{path}: {made.name} is there twice: rename one")
        found[made.name] = made
    return tag, found


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no file {path}: name a prefect.yaml with --file") from error
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): name a prefect.yaml that can with --file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: correct it: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no keys: give it `name` and `deployments`")
    if not isinstance(content.get("name"), str):
        raise InputError(f"{path}: `name` is no text: give it one, the tag of its deployments")
    listed = content.get("deployments")
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise InputError(
            f"{path}: `deployments` is no list of mappings: give it one, with each deployment's "
            f"{', '.join(NEEDED)}"
        )
    return content


def _check(raw: Mapping[str, Any], which: str) -> None:
    if lacking := [key for key in NEEDED if not raw.get(key)]:
        raise InputError(f"{which} lacks {', '.join(f'`{key}`' for key in lacking)}: add it")
    pool, schedules = raw["work_pool"], raw.get("schedules") or []
    if not isinstance(pool, dict) or not pool.get("name"):
        raise InputError(f"{which}: `work_pool` lacks `name`: add the name of a work pool")
    if not isinstance(schedules, list) or not all(isinstance(one, dict) for one in schedules):
        raise InputError(f"{which}: `schedules` is no list of mappings: make it one, or remove it")


def _filled(raw: dict[str, Any]) -> Any:
    # `{{ $NAME }}` is a variable of the environment; other templates are Prefect's to fill in.
    return apply_values(raw, dict(os.environ), remove_notset=False)


def _deployment(raw: Mapping[str, Any], content: Mapping[str, Any], path: Path) -> Deployment:
    if unknown := set(raw) - KEYS:
        listed = ", ".join(sorted(unknown))
        raise InputError(
            f"{path}: {raw.get('name')} has {listed}, which is not compared: remove it"
        )
    flow = _flow(raw, path)
    try:
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
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
        raise InputError(
            f"{path}: deployment {raw.get('name')} cannot be made: {told}: correct it"
        ) from (error)
    schedules = [_schedule(one, name, path) for one in raw.get("schedules") or []]
    if len({slug for slug, _ in schedules}) < len(schedules):
        raise InputError(f"{path}: {name} has two schedules of one slug: rename one")
    return Deployment(name, settings, dict(schedules), frozenset(settings["tags"]))


def _flow(raw: Mapping[str, Any], path: Path) -> Flow[..., Any]:
    try:
        return load_flow_from_entrypoint(raw["entrypoint"])
    except Exception as error:  # the module is the user's, and runs when it is loaded
        raise InputError(
            f"{path}: deployment {raw['name']}: `entrypoint` {raw['entrypoint']} gives no flow "
            f"({error}): correct it, FILE.py:FUNCTION or MODULE.FUNCTION"
        ) from error


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
