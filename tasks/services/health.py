"""Whether the servers answer, asked over HTTP as any client would."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Mapping
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import ProxyHandler, Request, build_opener

from mirror.errors import ServiceError
from tasks.services import POOL
from tasks.services.state import ServerState

ANSWER_SECONDS = 10.0
CONFLICT = 409
BUSY, BUSY_TRIES, BUSY_SECONDS = 503, 5, 1.0
"""What Prefect's server answers while its database is in use; its own clients then ask again."""


def answers(url: str, seconds: float = ANSWER_SECONDS) -> bool:
    """Whether what is at an address says that all is well."""
    try:
        with _direct().open(url, timeout=seconds) as answer:
            return bool(200 <= answer.status < 300)
    except (OSError, HTTPException, ValueError):
        return False


def make_pool(state: ServerState) -> None:
    """Makes the work pool, of type process, unless it is there.

    Raises:
        ServiceError: the server refuses.
    """
    try:
        ask(state, "work_pools/", {"name": POOL, "type": "process"})
    except HTTPError as error:
        if error.code != CONFLICT:
            raise ServiceError(
                f"the Prefect server at {state.prefect_url} does not make the work pool {POOL} "
                f"(HTTP {error.code}): see its log"
            ) from error


def online_workers(state: ServerState) -> dict[str, datetime]:
    """When each worker that the server holds to be there was heard of last, by name.

    Raises:
        OSError: the server does not answer.
    """
    found = ask(state, f"work_pools/{quote(POOL)}/workers/filter", {})
    return {
        worker["name"]: datetime.fromisoformat(worker["last_heartbeat_time"])
        for worker in found
        if worker["status"] == "ONLINE" and worker["last_heartbeat_time"]
    }


def ask(state: ServerState, path: str, body: Mapping[str, Any] | None = None) -> Any:
    """What Prefect's server answers to a GET, or with a body to a POST, once it is not busy.

    Raises:
        OSError: it does not answer, or refuses.
    """
    headers = {"Content-Type": "application/json"}
    if login := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    data = None if body is None else json.dumps(body).encode()
    address = f"{state.prefect_url}/api/{path}"
    request = Request(address, data, headers)  # noqa: S310 - our own server
    tries = 0
    while True:
        tries += 1
        try:
            with _direct().open(request, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)
        except HTTPError as error:
            if error.code != BUSY or tries == BUSY_TRIES:
                raise
        time.sleep(BUSY_SECONDS)


def _direct() -> Any:
    # A proxy cannot reach this machine's own loopback.
    return build_opener(ProxyHandler({}))
