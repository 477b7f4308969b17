"""One at a time: who may register a model's versions and move its aliases, from wherever it works.

MLflow sets an alias whatever it was, and makes a version whether or not there is one alike, so that
looking and setting must not be parted by another's setting.  A file of SQLite has a lock beside it,
which the dead do not hold.  A server has nothing of the kind, but makes a
registered model of one name once: while there is one called `NAME~moving`, whoever made it
registers versions of NAME and moves its aliases.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from mirror.errors import ServiceError
from mirror.locks import exclusive_lock
from tasks.registry.client import NOT_THERE, sqlite_file

if TYPE_CHECKING:
    from mlflow.entities.model_registry import RegisteredModel
    from mlflow.tracking import MlflowClient

ALREADY_THERE = "RESOURCE_ALREADY_EXISTS"
OWNER = "workspace"
DEAD_SECONDS = 300.0
"""A mark that stands so long unchanged is a dead one's: it takes some thirty requests, each
with 30 seconds and two more tries, and mostly less than a second in all."""
PAUSE_SECONDS = 0.2


def workspace_id(workspace: Path) -> str:
    """What tells a workspace from all others, on any machine and wherever it is moved to."""
    path = workspace / "id"
    with exclusive_lock(workspace / "locks" / "id.lock"):
        if not path.is_file():
            part = path.with_name("id.part")
            part.write_text(uuid4().hex, encoding="utf-8")
            part.replace(path)
        return path.read_text(encoding="utf-8")


@contextmanager
def registry_lock(client: MlflowClient, name: str, owner: str) -> Iterator[Callable[[], None]]:
    """Within the block, nobody else who asks here registers or moves aliases of a model.

    Args:
        client: of the tracking store.
        name: the model.
        owner: the workspace's id; within it, the caller holds a lock of its own.

    Yields:
        To be called right before a version is made or an alias moved: raises ServiceError if the
        caller slept so long that it was taken for dead.
    """
    if file := sqlite_file(os.environ["MLFLOW_TRACKING_URI"]):
        with exclusive_lock(Path(f"{file.resolve()}.{name}.lock")) as check_held:
            yield check_held
        return
    mark = f"{name}~moving"
    _take(client, mark, owner)

    def check() -> None:
        if not _is_held(_find(client, mark), owner):
            raise ServiceError(
                f"another run took over from this one while the aliases of {name} were being "
                "moved: run again"
            )

    try:
        yield check
    finally:
        if _is_held(_find(client, mark), owner):
            _delete(client, mark)


def _take(client: MlflowClient, mark: str, owner: str) -> None:
    from mlflow.exceptions import MlflowException

    about = "Deleted when the aliases are moved. Left by a run that died if it is minutes old."
    seen, since = None, time.monotonic()
    while True:
        try:
            client.create_registered_model(mark, {OWNER: owner}, about)
            return
        except MlflowException as error:
            # A store may find the mark there, and gone when it looks what it is.
            if error.error_code not in (ALREADY_THERE, NOT_THERE):
                raise
        held = _find(client, mark)
        if _is_held(held, owner):  # by a run of ours that was killed, or answered in vain
            return
        # Clocks of several machines differ; how long it stands is seen here.
        if _identity(held) != seen:
            seen, since = _identity(held), time.monotonic()
        elif held is not None and time.monotonic() - since > DEAD_SECONDS:
            _delete(client, mark)
            continue
        time.sleep(PAUSE_SECONDS)


def _find(client: MlflowClient, mark: str) -> RegisteredModel | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_registered_model(mark)
    except MlflowException as error:
        if error.error_code == NOT_THERE:
            return None
        raise


def _delete(client: MlflowClient, mark: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.delete_registered_model(mark)
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise


def _is_held(held: RegisteredModel | None, owner: str) -> bool:
    return held is not None and bool(held.tags.get(OWNER) == owner)


def _identity(held: RegisteredModel | None) -> tuple[object, object] | None:
    return (held.creation_timestamp, held.tags.get(OWNER)) if held else None
