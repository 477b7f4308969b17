"""`mirror doctor`: what a machine has and lacks, its servers and their schedules included."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from flows.cli.options import Command, stdout_console, workspace_option
from mirror.paths import CHECKOUT

if TYPE_CHECKING:
    from mirror.maintenance.health_check import CheckResult


@click.command(cls=Command, short_help="Says what this machine has and lacks.")
@workspace_option
def doctor() -> None:
    """Says what this machine has and lacks; fails if something needed is missing.

    Looks at the servers that `mirror up` started too, and at where the Prefect server differs from
    prefect.yaml.
    """
    from flows.cli.tables import doctor_table
    from mirror.maintenance.doctor import run_checks
    from tasks.environment import workspace_root

    findings = (*run_checks(workspace_root(), os.environ["MLFLOW_TRACKING_URI"]), *_team_setting())
    stdout_console().print(doctor_table(findings))
    if any(finding.state == "bad" for finding in findings):
        raise click.exceptions.Exit(1)


def _team_setting() -> Iterator[CheckResult]:
    from tasks.services import services_folder
    from tasks.services.health import check_services, prefect_address
    from tasks.settings import look_at_settings

    yield look_at_settings()
    yield from check_services(services_folder())
    # Prefect takes seconds to import, and where there is no server there are no schedules.
    if address := os.environ.get("PREFECT_API_URL") or prefect_address(services_folder()):
        from tasks.deployments import check_deployments

        yield check_deployments(CHECKOUT / "prefect.yaml", address)
