"""Progress of tasks: to the terminal, or to the log and a Prefect artifact."""

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
"""The pause after Prefect's server failed to store an artifact."""
LOG_SECONDS = 15

_listener: ContextVar[OnProgress | None] = ContextVar("listener", default=None)


@contextmanager
def listening(listener: OnProgress) -> Iterator[None]:
    """Send progress of tasks within the block to `listener` instead of the log."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


class Reporter:
    """Reports the progress of one task, at most every few seconds."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._artifact_due = 0.0
        # A short stage is not logged.
        self._log_due = time.monotonic() + LOG_SECONDS

    def __call__(self, progress: ProgressEvent) -> None:
        """Report one event."""
        now = time.monotonic()
        listener = _listener.get()
        if listener is not None:
            listener(progress)
        elif now >= self._log_due:
            self._log_due = now + LOG_SECONDS
            log.info("%s", describe(progress))
        if progress.total and TaskRunContext.get() is not None:
            ended = progress.done >= progress.total
            # No artifact for a task that ends with its first event; the last event always updates.
            if (self._artifact is not None) if ended else now >= self._artifact_due:
                self._artifact_due = now + ARTIFACT_SECONDS
                self.show(progress, 100 * progress.done / progress.total)

    def show(self, progress: ProgressEvent, percent: float) -> None:
        """Update the artifact; only log a warning if Prefect's server fails."""
        try:
            self._show(progress, percent)
        except Exception as error:  # Prefect raises many kinds if its server does not answer
            self._artifact_due = time.monotonic() + AWAY_SECONDS
            log.warning("progress of %s is not shown by Prefect (%s)", progress.stage, error)

    def _show(self, progress: ProgressEvent, percent: float) -> None:
        if self._artifact is None:
            artifact = create_progress_artifact(
                progress=percent, key=f"{progress.stage}-progress", description=describe(progress)
            )
            self._artifact = artifact if isinstance(artifact, UUID) else None
        else:
            update_progress_artifact(
                artifact_id=self._artifact, progress=percent, description=describe(progress)
            )
