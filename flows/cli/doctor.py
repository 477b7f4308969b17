"""`mirror doctor`: checks of this machine, the services and the deployments."""

from __future__ import annotations

import os
from collections.abc import Iterator
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


def _service_checks() -> Iterator[CheckResult]:
    from tasks.services import services_folder
    from tasks.services.health import check_services, prefect_address
    from tasks.settings import check_settings

    yield check_settings()
    yield from check_services(services_folder())
    # Prefect takes seconds to import, and without a server there are no deployments.
    if address := os.environ.get("PREFECT_API_URL") or prefect_address(services_folder()):
        from tasks.deployments import check_deployments

        yield check_deployments(CHECKOUT / "prefect.yaml", address)
