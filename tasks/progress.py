"""Progress from the library, passed on: to the terminal, or to a Prefect artifact and the log."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import TaskRunContext

from mirror.progress import OnProgress, ProgressEvent, describe

log = logging.getLogger(__name__)

ARTIFACT_SECONDS = 3
AWAY_SECONDS = 60
"""From an artifact that Prefect's server did not take to the next."""
LOG_SECONDS = 15

_listener: ContextVar[OnProgress | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: OnProgress) -> Iterator[None]:
    """Within the block, progress of tasks goes to `listener` instead of the log."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Reporter:
    """Passes on one task's progress, seldom enough to cost nothing."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._artifact_due = 0.0
        # A stage that ends soon needs no line of its own.
        self._log_due = time.monotonic() + LOG_SECONDS

    def __call__(self, progress: ProgressEvent) -> None:
        """Takes one sign of life."""
        now = time.monotonic()
        listener = _listener.get()
        if listener is not None:
            listener(progress)
        elif now >= self._log_due:
            self._log_due = now + LOG_SECONDS
            log.info("%s", describe(progress))
        if progress.total and TaskRunContext.get() is not None:
            ended = progress.done >= progress.total
            # What has ended with its first sign needs no ring; one that is there is closed at once.
            if (self._artifact is not None) if ended else now >= self._artifact_due:
                self._artifact_due = now + ARTIFACT_SECONDS
                self.show(progress, 100 * progress.done / progress.total)

    def show(self, progress: ProgressEvent, percent: float) -> None:
        """Shows it on Prefect's pages; that they are away is no reason for hours of work to end."""
        try:
            self._show(progress, percent)
        except Exception as error:  # whatever Prefect raises where its server does not answer
            self._artifact_due = time.monotonic() + AWAY_SECONDS
            log.warning("progress of %s is not shown by Prefect (%s)", progress.stage, error)

    def _show(self, progress: ProgressEvent, percent: float) -> None:
        if self._artifact is None:
            made = create_progress_artifact(
                progress=percent, key=f"{progress.stage}-progress", description=describe(progress)
            )
            self._artifact = made if isinstance(made, UUID) else None
        else:
            update_progress_artifact(
                artifact_id=self._artifact, progress=percent, description=describe(progress)
            )
