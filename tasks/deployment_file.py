"""Deployments of a prefect.yaml, checked and in the form that Prefect's client takes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from prefect.client.schemas.schedules import SCHEDULE_TYPES, construct_schedule
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from prefect.utilities.templating import apply_values
from pydantic import BaseModel, Field, ValidationError, model_validator

from mirror.config_base import list_faults
from mirror.errors import InputError

TIMING = ("cron", "interval", "rrule", "anchor_date", "timezone")
Text = Annotated[str, Field(min_length=1)]
Deployment = dict[str, Any]
"""Arguments of the client's `create_deployment`; schedules and concurrency options are plain."""


class _WorkPool(BaseModel, extra="forbid"):
    name: Text
    work_queue_name: str = "default"
    job_variables: dict[str, Any] = {}


class _Concurrency(BaseModel, extra="forbid"):
    limit: int | None = None
    collision_strategy: str | None = None
    grace_period_seconds: int | None = None


class _Schedule(BaseModel, extra="forbid"):
    slug: Text
    cron: str | None = None
    interval: float | None = None
    rrule: str | None = None
    anchor_date: Any = None
    timezone: str | None = None
    active: bool = True
    parameters: dict[str, Any] = {}

    @model_validator(mode="after")
    def _has_one_timing(self) -> Self:
        self.timing()
        return self

    def timing(self) -> SCHEDULE_TYPES:
        """Return Prefect's schedule; raise ValueError if it is not one."""
        try:
            return construct_schedule(**self.model_dump(include=set(TIMING), exclude_none=True))
        except TypeError as error:
            raise ValueError(str(error)) from error


class _FileDeployment(BaseModel, extra="forbid"):
    """One deployment of prefect.yaml, with the keys that are compared and applied."""

    name: Text
    entrypoint: Text
    work_pool: _WorkPool
    tags: list[str] = []
    description: str = ""
    version: str | None = None
    parameters: dict[str, Any] = {}
    concurrency_limit: int | _Concurrency | None = None
    enforce_parameter_schema: bool = True
    paused: bool = False
    pull: list[dict[str, Any]] = []
    schedules: list[_Schedule] = []


class _File(BaseModel):
    """prefect.yaml; other keys, such as `definitions`, are allowed."""

    name: Text
    pull: list[dict[str, Any]] = []
    deployments: list[_FileDeployment]

    @model_validator(mode="after")
    def _can_be_compared(self) -> Self:
        for deployment in self.deployments:
            if self.name not in deployment.tags:
                raise ValueError(f"{deployment.name}: add the tag {self.name} to its tags")
            slugs = [schedule.slug for schedule in deployment.schedules]
            if len(set(slugs)) < len(slugs):
                raise ValueError(f"{deployment.name}: two schedules have one slug: rename one")
        return self


def read_file(path: Path) -> tuple[str, dict[str, Deployment]]:
    """Return the tag of a prefect.yaml and its deployments by `flow/deployment`.

    Raises:
        InputError: the file is missing or wrong, or has a key that is not compared.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        # `{{ $NAME }}` is an environment variable; Prefect resolves other templates itself.
        content = apply_values(content, dict(os.environ), remove_notset=False)
        file = _File.model_validate(content, strict=True)
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}): give a prefect.yaml with --file"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: correct it: {error}") from error
    except ValidationError as error:
        raise InputError(f"{path} is not a file of deployments:\n{list_faults(error)}") from error
    deployments: dict[str, Deployment] = {}
    for deployment in file.deployments:
        flow = _load_flow(deployment, path)
        name = f"{flow.name}/{deployment.name}"
        if name in deployments:
            raise InputError(f"{path}: two deployments are called {name}: rename one")
        deployments[name] = _from_file(deployment, file, flow)
    return file.name, deployments


def plain_schedule(timing: SCHEDULE_TYPES, source: Any, with_anchor: bool = True) -> dict[str, Any]:
    """Return a schedule as plain values.

    Args:
        timing: Prefect's cron, interval or rrule schedule.
        source: has `active` and `parameters`.
        with_anchor: whether the start of an interval was given rather than Prefect's choice.
    """
    plain = timing.model_dump(mode="json", exclude_none=True)
    if not with_anchor:
        plain.pop("anchor_date", None)
    status = {"active": source.active, "parameters": source.parameters or {}}
    return {"timezone": "UTC", **plain, **status}


def _load_flow(deployment: _FileDeployment, path: Path) -> Flow[..., Any]:
    try:
        return load_flow_from_entrypoint(deployment.entrypoint)
    except Exception as error:  # importing the user's module may raise anything
        raise InputError(
            f"{path}: deployment {deployment.name}: `entrypoint` {deployment.entrypoint} is not a "
            f"flow ({error}): write FILE.py:FUNCTION or MODULE.FUNCTION"
        ) from error


def _from_file(deployment: _FileDeployment, file: _File, flow: Flow[..., Any]) -> Deployment:
    limit, pool = deployment.concurrency_limit, deployment.work_pool
    concurrency = limit if isinstance(limit, _Concurrency) else _Concurrency(limit=limit)
    return {
        "entrypoint": deployment.entrypoint,
        "work_pool_name": pool.name,
        "work_queue_name": pool.work_queue_name,
        "job_variables": pool.job_variables,
        "tags": sorted(deployment.tags),
        "description": (deployment.description or flow.description or "").strip(),
        "version": deployment.version,
        "parameters": deployment.parameters,
        "enforce_parameter_schema": deployment.enforce_parameter_schema,
        "paused": deployment.paused,
        "pull_steps": deployment.pull if "pull" in deployment.model_fields_set else file.pull,
        "concurrency_limit": concurrency.limit,
        "concurrency_options": concurrency.model_dump(exclude={"limit"}, exclude_none=True),
        "parameter_openapi_schema": parameter_schema(flow).model_dump(exclude_unset=True),
        "schedules": {
            schedule.slug: plain_schedule(
                schedule.timing(), schedule, with_anchor=schedule.anchor_date is not None
            )
            for schedule in deployment.schedules
        },
    }
