"""Early check of environment variables that a run reads late."""

from __future__ import annotations

from collections.abc import Callable

from mirror.cluster import RUNNER
from mirror.errors import InputError
from mirror.maintenance.health_check import CheckResult
from mirror.tuning.device_lock import RUNS_PER_DEVICE, runs_per_device
from tasks.notifications import NOTIFY, notification_blocks
from tasks.runners import runner_kind

NAME = "settings"


def check_settings() -> CheckResult:
    """Check that the variables can be parsed; no server is contacted."""
    needed, others = (
        _faults_of(runs_per_device, notification_blocks),
        _faults_of(lambda: runner_kind(None)),
    )
    if faults := (*needed, *others):
        return CheckResult(
            NAME, "bad" if needed else "warn", "; ".join(faults), "correct or unset it"
        )
    return CheckResult(NAME, "ok", f"{RUNS_PER_DEVICE}, {RUNNER} and {NOTIFY} are valid")


def _faults_of(*checks: Callable[[], object]) -> tuple[str, ...]:
    faults = []
    for check in checks:
        try:
            check()
        except InputError as fault:
            faults.append(str(fault))
    return tuple(faults)
