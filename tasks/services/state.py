"""What was started: kept in one file, which is always whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mirror.errors import StoreError
from mirror.store import flush
from tasks.network import bracketed

PREFECT, MLFLOW, WORKER = "prefect", "mlflow", "worker"
LOOPBACK = "127.0.0.1"
NAME = "state.json"


@dataclass(frozen=True)
class Started:
    """A process that was started, so that it is known again."""

    name: str
    """`prefect`, `mlflow`, or `worker-1` and so on."""
    pid: int
    since_boot: float
    """Seconds from the machine's start to the process's: the clock may be set, this stays."""

    @property
    def is_worker(self) -> bool:
        """Whether it is a worker and not a server."""
        return self.name.startswith(WORKER)


@dataclass(frozen=True)
class ServerState:
    """What is meant to run, and the processes that were started for it."""

    host: str
    prefect_port: int
    mlflow_port: int
    database: str
    """The PostgreSQL address without its password; nothing where the databases are files."""
    authenticated: bool
    """Whether both servers want a login."""
    processes: tuple[Started, ...] = ()

    @property
    def client_host(self) -> str:
        """Where clients on this machine reach the servers."""
        if self.host in ("0.0.0.0", "::"):  # noqa: S104 - told apart here, not bound
            return LOOPBACK
        return bracketed(self.host)

    @property
    def prefect_url(self) -> str:
        """The address of Prefect's UI; its API is below `/api`."""
        return f"http://{self.client_host}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """The address of MLflow, for people and programs."""
        return f"http://{self.client_host}:{self.mlflow_port}"

    def with_process(self, started: Started) -> ServerState:
        """The state with one more process, in place of any other of its name."""
        others = tuple(known for known in self.processes if known.name != started.name)
        return replace(self, processes=(*others, started))

    def without(self, names: set[str]) -> ServerState:
        """The state without some processes."""
        kept = tuple(known for known in self.processes if known.name not in names)
        return replace(self, processes=kept)


def read_state(folder: Path) -> ServerState | None:
    """What was started from a folder; None where nothing was, or all of it was stopped.

    Raises:
        StoreError: the file is damaged.
    """
    path = folder / NAME
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        processes = tuple(Started(**process) for process in found.pop("processes"))
        return ServerState(**found, processes=processes)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"{path} cannot be read ({error}), so it is not known what runs: stop the servers "
            "by hand, then remove the file"
        ) from error


def write_state(folder: Path, state: ServerState) -> None:
    """Replaces the state by a new one in one step."""
    draft = folder / f"{NAME}.{os.getpid()}"
    draft.touch(0o600)
    draft.write_text(json.dumps(asdict(state), indent=1), "utf-8")
    flush(draft)
    draft.replace(folder / NAME)
    flush(folder)


def remove_state(folder: Path) -> None:
    """Says that nothing runs."""
    (folder / NAME).unlink(missing_ok=True)
    flush(folder)
