"""Makes the server's deployments those of the file."""

from __future__ import annotations

from pathlib import Path

from prefect.client.orchestration import SyncPrefectClient

from mirror.errors import InputError, ServiceError
from tasks.deployments.drift import Drift, compare
from tasks.deployments.file import read_file
from tasks.deployments.server import deploy, read_server, remove


def find_drift(client: SyncPrefectClient, path: Path) -> Drift:
    """How the server differs from a file now.

    Raises:
        InputError: the file is wrong, or a name is somebody else's on the server.
    """
    tag, wanted = read_file(path)
    return compare(tag, wanted, read_server(client))


def apply(client: SyncPrefectClient, path: Path, shown: Drift) -> None:
    """Makes, changes and removes what was shown, and looks whether it came to be.

    Raises:
        InputError: the server or the file has changed since, or lacks the work pool.
        ServiceError: the server still differs afterwards.
    """
    tag, wanted = read_file(path)
    there = read_server(client)
    if compare(tag, wanted, there) != shown:
        raise InputError(f"{path} or the server has changed meanwhile: look at it again")
    pools = {wanted[name].settings["work_pool"]["name"] for name in wanted}
    known = {pool.name for pool in client.read_work_pools()}
    if missing := sorted(pools - known):
        raise InputError(
            f"the server has no work pool {', '.join(missing)}: `mirror up` makes it, as does "
            f"`prefect work-pool create --type process {missing[0]}`"
        )
    made = {*shown.new, *(name for name, _ in (*shown.changed, *shown.gone_schedules))}
    for name in sorted(made):
        deploy(client, wanted[name])
    for name in shown.gone:
        remove(client, there[name])
    if left := find_drift(client, path):
        listed = "\n".join(f"  {line}" for line in left.lines)
        raise ServiceError(f"the server still differs from {path}:\n{listed}")
