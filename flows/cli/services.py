"""`mirror up` and `mirror down`: the services of a team on one machine."""

from __future__ import annotations

from functools import partial

import click

from flows.cli.console import echo
from flows.cli.options import Command, workspace_option

PORT = click.IntRange(1, 65_535)
print_step = partial(echo, err=True)


@click.command(cls=Command, short_help="Start Prefect's server, MLflow's server and workers.")
@click.option("--host", help="Address to bind to; any but loopback requires logins.")
@click.option("--prefect-port", type=PORT, help="Port of Prefect's server; default 4200.")
@click.option("--mlflow-port", type=PORT, help="Port of MLflow's server; default 5000.")
@click.option("--workers", type=click.IntRange(min=1), help="Number of workers; default 1.")
@click.option(
    "--database",
    metavar="URL",
    help="PostgreSQL without password; default MIRROR_DATABASE_URL, else SQLite files.",
)
@workspace_option
def up(
    host: str | None,
    prefect_port: int | None,
    mlflow_port: int | None,
    workers: int | None,
    database: str | None,
) -> None:
    """Start Prefect's server, MLflow's server and workers, and wait until all answer.

    Running services are not restarted.  A process that dies is restarted; one that keeps failing
    is started again by the next `mirror up`.  State, artifacts and logs are in `servers` in the
    workspace.  PostgreSQL's address, with its password, is read from MIRROR_DATABASE_URL: for
    .../NAME the databases are NAME_prefect and NAME_mlflow.
    """
    from mirror.paths import writable_workspace

    writable_workspace()
    from tasks.services import POOL, services_folder
    from tasks.services.database import find_database
    from tasks.services.lifecycle import start_services
    from tasks.services.options import ServiceOptions

    options = ServiceOptions(host, prefect_port, mlflow_port, workers, find_database(database))
    state, started = start_services(services_folder(), options, print_step)
    print_step("up" if started else "up already")
    count = state.worker_count
    lines = [
        f"Prefect  {state.prefect_url}  work pool {POOL}, {count} worker{'s' * (count > 1)}",
        f"MLflow   {state.mlflow_url}",
        "",
        f"export PREFECT_API_URL={state.prefect_url}/api",
        f"export MLFLOW_TRACKING_URI={state.mlflow_url}",
    ]
    echo("\n".join(lines))


@click.command(cls=Command, short_help="Stop the services of `mirror up`.")
@workspace_option
def down() -> None:
    """Stop the services of `mirror up` and their runs.

    Databases, artifacts and logs stay.
    """
    from mirror.paths import open_workspace

    open_workspace()
    from tasks.services import services_folder
    from tasks.services.lifecycle import stop_services

    stopped = stop_services(services_folder(), print_step)
    print_step("down" if stopped else "no services were running")
