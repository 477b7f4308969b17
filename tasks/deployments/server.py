"""What the Prefect server has, and how it is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from httpx import HTTPError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.objects import ConcurrencyOptions
from prefect.client.schemas.responses import DeploymentResponse
from prefect.settings import PREFECT_API_URL

from mirror.errors import InputError, ServiceError
from tasks.deployments import Deployment
from tasks.deployments.file import CONCURRENCY, shown_timing
from tasks.network import without_secrets

PAGE = 200


@contextmanager
def connected() -> Iterator[SyncPrefectClient]:
    """A client of the server at PREFECT_API_URL.

    Raises:
        InputError: no server is named.
        ServiceError: it does not answer, or refuses.
    """
    address = PREFECT_API_URL.value()
    if not address:
        raise InputError(
            "no Prefect server is named: bring one up with `mirror up`, and export "
            "PREFECT_API_URL as it says"
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


def read_server(client: SyncPrefectClient) -> dict[str, Deployment]:
    """All deployments of the server, by name, whoever made them."""
    found: list[DeploymentResponse] = []
    while len(page := client.read_deployments(limit=PAGE, offset=len(found))) == PAGE:
        found += page
    flows: dict[Any, str] = {}
    for made in (*found, *page):
        if made.flow_id not in flows:
            flows[made.flow_id] = client.read_flow(made.flow_id).name
    read = (_deployment(made, flows[made.flow_id]) for made in (*found, *page))
    return {made.name: made for made in read}


def deploy(client: SyncPrefectClient, wanted: Deployment) -> None:
    """Makes a deployment, or gives one of its name all of its settings and schedules.

    Prefect's own command leaves what a file no longer says as it was: schedules, limits, pauses.
    """
    flow, _, name = wanted.name.partition("/")
    settings = wanted.settings
    pool = settings["work_pool"]
    options = {key: settings[key] for key in CONCURRENCY if key in settings}
    client.create_deployment(
        client.create_flow_from_name(flow),
        name,
        version=settings["version"],
        schedules=[_schedule(slug, timing) for slug, timing in wanted.schedules.items()],
        concurrency_limit=settings["concurrency_limit"],
        concurrency_options=ConcurrencyOptions(**options) if options else None,
        parameters=settings["parameters"],
        description=settings["description"],
        work_queue_name=pool["work_queue_name"],
        work_pool_name=pool["name"],
        tags=settings["tags"],
        entrypoint=settings["entrypoint"],
        parameter_openapi_schema=settings["the flow's parameters"],
        paused=settings["paused"],
        pull_steps=settings["pull"],
        enforce_parameter_schema=settings["enforce_parameter_schema"],
        job_variables=pool["job_variables"],
    )


def _schedule(slug: str, timing: Mapping[str, Any]) -> DeploymentScheduleCreate:
    kept = {key: value for key, value in timing.items() if key not in ("active", "parameters")}
    return DeploymentScheduleCreate.model_validate(
        {
            "slug": slug,
            "schedule": kept,
            "active": timing["active"],
            "parameters": timing["parameters"],
        }
    )


def remove(client: SyncPrefectClient, made: Deployment) -> None:
    """Removes a deployment; its runs stay."""
    client.delete_deployment(UUID(made.identity))


def _deployment(made: DeploymentResponse, flow: str) -> Deployment:
    limit = made.global_concurrency_limit
    options = made.concurrency_options.model_dump(mode="json") if made.concurrency_options else {}
    settings = {
        "entrypoint": made.entrypoint,
        "version": made.version or None,
        "description": (made.description or "").strip(),
        "tags": sorted(made.tags),
        "parameters": made.parameters,
        "work_pool": {
            "name": made.work_pool_name,
            "work_queue_name": made.work_queue_name or "default",
            "job_variables": made.job_variables,
        },
        "concurrency_limit": limit.limit if limit else None,
        **{key: options[key] for key in CONCURRENCY if options.get(key) is not None},
        "enforce_parameter_schema": made.enforce_parameter_schema,
        "paused": made.paused,
        "pull": made.pull_steps or [],
        "the flow's parameters": made.parameter_openapi_schema or {},
    }
    schedules = {}
    for one in made.schedules:
        slug = one.slug or str(one.id)
        timing = shown_timing(one.schedule, anchored=True)
        schedules[slug] = {**timing, "active": one.active, "parameters": one.parameters or {}}
    return Deployment(
        f"{flow}/{made.name}",
        settings,
        schedules,
        frozenset(made.tags),
        str(made.id),
    )
