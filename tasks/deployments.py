"""Deployments on a Prefect server: compared with prefect.yaml, and changed to match it.

The file's `name` is a tag of all its deployments.  A deployment on the server with this tag is from
the file; one without it is never changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL, temporary_settings

from mirror.errors import InputError, MirrorError, RecipeError, ServiceError
from mirror.maintenance.health_check import CheckResult
from mirror.maintenance.readiness import missing_part
from mirror.recipe import find_recipe
from mirror.secrets import without_secrets
from tasks.deployment_file import TIMING, Deployment, plain_schedule, read_file

CONCURRENCY_OPTIONS = ("collision_strategy", "grace_period_seconds")
MAX_SHOWN_CHARACTERS = 60
PAGE = 200


@dataclass(frozen=True)
class DeploymentDiff:
    """Differences between a file and a server."""

    lines: tuple[str, ...] = ()
    """One per difference, marked as in a patch: + new, ~ changed, - removed."""
    written: tuple[str, ...] = ()
    """Deployments that are new, or have a field or a schedule that differs."""
    removed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.lines)


@contextmanager
def prefect_client() -> Iterator[SyncPrefectClient]:
    """Connect to the server at PREFECT_API_URL.

    Raises:
        InputError: the variable is not set.
        ServiceError: the server does not answer, or refuses a request.
    """
    address = PREFECT_API_URL.value()
    if not address:
        raise InputError(
            "PREFECT_API_URL names no Prefect server: start one with `mirror up`, and export the "
            "variable as it prints it"
        )
    shown = without_secrets(str(address))
    with get_client(sync_client=True) as client:
        if fault := client.api_healthcheck():
            raise ServiceError(
                f"the Prefect server at {shown} does not answer ({fault}): start it with "
                "`mirror up`, or correct PREFECT_API_URL"
            ) from fault
        try:
            yield client
        except HTTPError as error:
            raise ServiceError(f"the Prefect server at {shown} refuses: {error}") from error


def compare(
    tag: str, declared: Mapping[str, Deployment], current: Mapping[str, Deployment]
) -> DeploymentDiff:
    """Return the differences between the file's deployments and the server's.

    Args:
        tag: the tag of the file's deployments.
        declared: the file's deployments by name.
        current: all deployments of the server by name.

    Raises:
        InputError: a deployment without the tag has the name of one of the file's.
    """
    if foreign := [
        name for name in declared if name in current and tag not in current[name]["tags"]
    ]:
        raise InputError(
            f"{', '.join(foreign)} is on the server without the tag {tag}, so it is not from this "
            f"file: rename it in the file, or remove it: prefect deployment delete {foreign[0]}"
        )
    changes = {
        name: _changes(name, deployment, current[name]) if name in current else (f"+ {name}",)
        for name, deployment in declared.items()
    }
    removed = [name for name in current if name not in declared and tag in current[name]["tags"]]
    return DeploymentDiff(
        (*chain.from_iterable(changes.values()), *(f"- {name}" for name in removed)),
        tuple(name for name, lines in changes.items() if lines),
        tuple(removed),
    )


def diff_with_server(client: SyncPrefectClient, path: Path) -> DeploymentDiff:
    """Return the differences between a file and the server."""
    tag, declared = read_file(path)
    pause_unready(declared)
    return compare(tag, declared, _read_server(client))


def pause_unready(declared: dict[str, Deployment]) -> dict[str, str]:
    """Pause the schedules of deployments whose recipe cannot run on this machine now.

    A recipe that this machine does not have is left to the one that runs it.

    Returns:
        Why each cannot run, by the deployment's name.
    """
    reasons = {}
    for name, deployment in declared.items():
        try:
            recipe = find_recipe(str(deployment["parameters"].get("recipe")))
        except RecipeError:
            continue
        if reason := missing_part(recipe):
            reasons[name] = reason
            for schedule in deployment["schedules"].values():
                schedule["active"] = False
    return reasons


def apply(client: SyncPrefectClient, path: Path, shown: DeploymentDiff) -> None:
    """Apply the differences that were shown, and check that none is left.

    Raises:
        InputError: file or server have changed since, or the server lacks a work pool.
        ServiceError: the server still differs afterwards.
    """
    _, declared = read_file(path)
    pause_unready(declared)
    if diff_with_server(client, path) != shown:
        raise InputError(f"{path} or the server has changed meanwhile: run `mirror deploy` again")
    pools = {deployment["work_pool_name"] for deployment in declared.values()}
    if missing := sorted(pools - {pool.name for pool in client.read_work_pools()}):
        raise InputError(
            f"the server has no work pool {', '.join(missing)}: create it with `mirror up` or "
            f"`prefect work-pool create --type process {missing[0]}`"
        )
    for name in shown.written:
        _write(client, name, declared[name])
    for name in shown.removed:
        client.delete_deployment(client.read_deployment_by_name(name).id)
    if left := diff_with_server(client, path):
        listed = "\n".join(f"  {line}" for line in left.lines)
        raise ServiceError(f"the server still differs from {path}:\n{listed}")


def check_deployments(path: Path, address: str) -> CheckResult:
    """Check for `mirror doctor` that a server has the deployments of a file."""
    name = "deployments"
    try:
        with temporary_settings({PREFECT_API_URL: address}), prefect_client() as client:
            diff = diff_with_server(client, path)
    except MirrorError as fault:
        return CheckResult(name, "warn", str(fault), "correct it, then run `mirror doctor` again")
    if not diff:
        return CheckResult(name, "ok", f"the server has what {path.name} says")
    text = "\n".join((f"the server differs from {path.name}:", *diff.lines))
    return CheckResult(name, "warn", text, "run `mirror deploy`")


def _read_server(client: SyncPrefectClient) -> dict[str, Deployment]:
    responses: list[DeploymentResponse] = []
    while len(page := client.read_deployments(limit=PAGE, offset=len(responses))) == PAGE:
        responses += page
    responses += page
    flows = {response.flow_id for response in responses}
    names = {flow_id: client.read_flow(flow_id).name for flow_id in flows}
    return {f"{names[one.flow_id]}/{one.name}": _from_server(one) for one in responses}


def _from_server(response: DeploymentResponse) -> Deployment:
    limit, options = response.global_concurrency_limit, response.concurrency_options
    plain_options = options.model_dump(mode="json", exclude_none=True) if options else {}
    return {
        "entrypoint": response.entrypoint,
        "work_pool_name": response.work_pool_name,
        "work_queue_name": response.work_queue_name or "default",
        "job_variables": response.job_variables,
        "tags": sorted(response.tags),
        "description": (response.description or "").strip(),
        "version": response.version or None,
        "parameters": response.parameters,
        "enforce_parameter_schema": response.enforce_parameter_schema,
        "paused": response.paused,
        "pull_steps": response.pull_steps or [],
        "concurrency_limit": limit.limit if limit else None,
        "concurrency_options": {
            key: plain_options[key] for key in CONCURRENCY_OPTIONS if key in plain_options
        },
        "parameter_openapi_schema": response.parameter_openapi_schema or {},
        "schedules": {
            schedule.slug or str(schedule.id): plain_schedule(schedule.schedule, schedule)
            for schedule in response.schedules
        },
    }


def _write(client: SyncPrefectClient, name: str, declared: Deployment) -> None:
    """Create or replace a deployment with all its fields.

    `prefect deploy` keeps schedules, limits and pauses that the file no longer has.
    """
    flow, _, deployment = name.partition("/")
    options = declared["concurrency_options"]
    schedules = [
        DeploymentScheduleCreate.model_validate(
            {
                "slug": slug,
                "schedule": {key: value for key, value in schedule.items() if key in TIMING},
                "active": schedule["active"],
                "parameters": schedule["parameters"],
            }
        )
        for slug, schedule in declared["schedules"].items()
    ]
    replaced = {
        "schedules": schedules,
        "concurrency_options": ConcurrencyOptions(**options) if options else None,
    }
    client.create_deployment(client.create_flow_from_name(flow), deployment, **declared | replaced)


def _changes(name: str, declared: Deployment, current: Deployment) -> tuple[str, ...]:
    """Return a line for each field and each schedule that differs."""
    fields = [field for field in {**declared, **current} if field != "schedules"]
    texts = [
        f"{field} {_shown(current.get(field))} → {_shown(declared.get(field))}"
        for field in fields
        if current.get(field) != declared.get(field)
    ]
    for slug, schedule in declared["schedules"].items():
        existing = current["schedules"].get(slug)
        if existing is None:
            texts.append(f"new schedule {slug} {_shown(schedule)}")
            continue
        # Fields that the file leaves out are the server's choice, such as an interval's anchor.
        texts += [
            f"schedule {slug}: {key} {_shown(existing.get(key))} → {_shown(value)}"
            for key, value in schedule.items()
            if existing.get(key) != value
        ]
    removed = current["schedules"].keys() - declared["schedules"].keys()
    return (
        *(f"~ {name}: {text}" for text in texts),
        *(f"- {name}: schedule {slug}" for slug in sorted(removed)),
    )


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"
