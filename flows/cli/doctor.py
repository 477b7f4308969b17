"""`mirror doctor`: checks of this machine, the services and the deployments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from flows.cli.console import stdout_console
from flows.cli.options import Command, workspace_option
from mirror.paths import CHECKOUT

if TYPE_CHECKING:
    from mirror.maintenance.health_check import CheckResult


@click.command(cls=Command, short_help="Check this machine, the services and the deployments.")
@workspace_option
def doctor() -> None:
    """Check this machine; exit with 1 if something that every run needs is missing.

    Also checks the services that `mirror up` started, and whether the Prefect server's deployments
    differ from prefect.yaml.
    """
    from flows.cli.tables import doctor_table
    from mirror.maintenance.doctor import run_checks
    from tasks.environment import workspace_root

    results = (*run_checks(workspace_root(), os.environ["MLFLOW_TRACKING_URI"]), *_service_checks())
    stdout_console().print(doctor_table(results))
    if any(result.state == "bad" for result in results):
        raise click.exceptions.Exit(1)


def check_settings() -> CheckResult:
    """Check that environment variables which a run reads late can be parsed."""
    from mirror.cluster import RUNNER
    from mirror.maintenance.health_check import CheckResult
    from mirror.tuning.device_lock import RUNS_PER_DEVICE, runs_per_device
    from tasks.notifications import NOTIFY, notification_blocks
    from tasks.runners import runner_kind

    needed = _faults_of(runs_per_device, notification_blocks)
    if faults := (*needed, *_faults_of(lambda: runner_kind(None))):
        return CheckResult(
            "settings", "bad" if needed else "warn", "; ".join(faults), "correct or unset it"
        )
    return CheckResult("settings", "ok", f"{RUNS_PER_DEVICE}, {RUNNER} and {NOTIFY} are valid")


def _faults_of(*checks: Callable[[], object]) -> list[str]:
    from mirror.errors import InputError

    faults = []
    for check in checks:
        try:
            check()
        except InputError as fault:
            faults.append(str(fault))
    return faults


def _service_checks() -> Iterator[CheckResult]:
    from tasks.services import services_folder
    from tasks.services.health import check_services, prefect_address

    yield check_settings()
    yield from check_services(services_folder())
    # Prefect takes seconds to import, and without a server there are no deployments.
    if address := os.environ.get("PREFECT_API_URL") or prefect_address(services_folder()):
        from tasks.deployments import check_deployments

        yield check_deployments(CHECKOUT / "prefect.yaml", address)
