"""`mirror serve`: embeddings of a registered encoder over HTTP, by MLflow's scoring server."""

from __future__ import annotations

import json
import signal
from typing import Any

import click

from flows.cli.console import echo
from flows.cli.errors import STOPPED
from flows.cli.options import Command, workspace_option
from mirror.errors import InputError, ServiceError

PORT = 5001
"""MLflow's tracking server usually has 5000."""
EXAMPLE = {"inputs": ["How do I reshape an array?"]}


@click.command(cls=Command, short_help="Serve embeddings of texts over HTTP.")
@click.argument("model", metavar="NAME")
@click.option(
    "--port", type=click.IntRange(1, 65_535), default=PORT, show_default=True, help="The port."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--unprotected",
    is_flag=True,
    help="Let other machines connect, although there is no login.",
)
@workspace_option
def serve(model: str, port: int, host: str, unprotected: bool) -> None:
    """Serve embeddings of texts over HTTP, until it is stopped with Ctrl-C.

    NAME is a registered model, whose champion is served, or models:/NAME@ALIAS or
    models:/NAME/VERSION.  A new champion is served after a restart.
    """
    from mirror.paths import open_workspace

    open_workspace(for_registry=True)
    from tasks.network import bracketed, check_address, is_loopback
    from tasks.registry.serving import checked_copy, scoring_server

    if not is_loopback(host) and not unprotected:
        raise InputError(
            f"--host {host} can be reached from other machines, and MLflow's scoring server has no "
            "login: leave --host out and put a proxy with a login in front of it, or give "
            "--unprotected"
        )
    check_address(host, port)
    uri = checked_model(model)
    echo(f"starting MLflow's scoring server for {uri}", err=True)
    signal.signal(signal.SIGTERM, _stop)
    try:
        with checked_copy(uri) as copy, scoring_server(copy, host, port) as server:
            address = f"http://{bracketed(host)}:{port}/invocations"
            for line in (f"{uri} answers at {address}", example_call(address)):
                echo(line)
            code = server.wait()
    except KeyboardInterrupt:
        raise click.exceptions.Exit(STOPPED) from None
    raise ServiceError(f"the scoring server exited by itself (code {code}): see its messages above")


def checked_model(model: str) -> str:
    """Return the version to serve as `models:/NAME/VERSION`, after a check of its files."""
    from mirror.encoders.base_model import check_base
    from mirror.encoders.sentence_transformers_reader import read_encoder_settings
    from tasks.environment import workspace_root
    from tasks.registry import fetch_model, pin_model
    from tasks.registry.versions import CHAMPION, check_name

    is_uri = model.startswith("models:/")
    uri = pin_model(model if is_uri else f"models:/{check_name(model)}@{CHAMPION}")
    folder = fetch_model(uri, workspace_root())
    check_base(folder, masks=False)
    read_encoder_settings(folder)
    return uri


def example_call(address: str) -> str:
    """Return a curl command for the shell."""
    data = json.dumps(EXAMPLE)
    return f"curl {address} -H 'Content-Type: application/json' -d '{data}'"


def _stop(*_: Any) -> None:
    raise KeyboardInterrupt
