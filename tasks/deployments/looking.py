"""Looks at the deployments for `mirror doctor`; nothing is changed."""

from __future__ import annotations

from pathlib import Path

from prefect.settings import PREFECT_API_URL, temporary_settings

from mirror.errors import MirrorError
from mirror.maintenance.health_check import CheckResult
from tasks.deployments.applying import find_drift
from tasks.deployments.server import connected

NAME = "schedules"


def look_at_deployments(path: Path, address: str) -> CheckResult:
    """Whether the server at an address has the deployments of a file, and as they are there."""
    try:
        with temporary_settings({PREFECT_API_URL: address}), connected() as client:
            drift = find_drift(client, path)
    except MirrorError as fault:
        return CheckResult(NAME, "warn", str(fault), "see to it, then look again")
    if not drift:
        return CheckResult(NAME, "ok", f"the server has what {path.name} says")
    listed = "\n".join(drift.lines)
    text = f"the server differs from {path.name}:\n{listed}"
    return CheckResult(NAME, "warn", text, "`mirror deploy` ends it")
