"""`mirror up` and `mirror down`: the team setting on one machine."""

from __future__ import annotations

import click

from flows.cli.options import Command, stderr_console, stdout_console, workspace_option

PORT = click.IntRange(1, 65_535)


@click.command(cls=Command, short_help="Brings up Prefect's server, MLflow's and workers.")
@click.option("--host", help="Bind to this address; another than loopback wants a login.")
@click.option("--prefect-port", type=PORT, help="Port of Prefect's server; else 4200.")
@click.option("--mlflow-port", type=PORT, help="Port of MLflow's server; else 5000.")
@click.option("--workers", type=click.IntRange(min=1), help="How many workers; else 1.")
@click.option(
    "--database",
    metavar="URL",
    help="PostgreSQL for both servers, without password; else MIRROR_DATABASE_URL, else files.",
)
@workspace_option
def up(
    host: str | None,
    prefect_port: int | None,
    mlflow_port: int | None,
    workers: int | None,
    database: str | None,
) -> None:
    """Brings up Prefect's server, MLflow's and workers, and waits until all answer.

    What runs already is left as it is; what has died is started again.  State, artifacts and logs
    are kept in `servers` in the workspace.  PostgreSQL's address, with its password, stands in
    MIRROR_DATABASE_URL: for .../NAME the servers' databases are NAME_prefect and NAME_mlflow.
    """
    from mirror.paths import writable_workspace

    writable_workspace()
    from tasks.services import POOL, servers_folder
    from tasks.services.database import find_database
    from tasks.services.options import ServiceOptions
    from tasks.services.starting import bring_up

    def say(text: str) -> None:
        stderr_console().print(text, highlight=False, markup=False, soft_wrap=True)

    wanted = ServiceOptions(host, prefect_port, mlflow_port, workers, find_database(database))
    state, fresh = bring_up(servers_folder(), wanted, say)
    say("up" if fresh else "up already")
    count = sum(process.is_worker for process in state.processes)
    lines = [
        f"Prefect  {state.prefect_url}  work pool {POOL}, {count} worker{'s' * (count > 1)}",
        f"MLflow   {state.mlflow_url}",
        "",
        f"export PREFECT_API_URL={state.prefect_url}/api",
        f"export MLFLOW_TRACKING_URI={state.mlflow_url}",
    ]
    stdout_console().print("\n".join(lines), highlight=False, markup=False, soft_wrap=True)


@click.command(cls=Command, short_help="Stops what `mirror up` started, and nothing else.")
@workspace_option
def down() -> None:
    """Stops what `mirror up` started, runs in work included, and nothing else.

    Databases, artifacts and logs stay.
    """
    from mirror.paths import open_workspace

    open_workspace()
    from tasks.services import servers_folder
    from tasks.services.stopping import bring_down

    console = stderr_console()
    ran = bring_down(
        servers_folder(),
        lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True),
    )
    console.print("down" if ran else "nothing was up", highlight=False)
