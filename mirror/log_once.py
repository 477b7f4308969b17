"""Warnings that are logged once by a process: a run checks and loads its base several times."""

from __future__ import annotations

import logging
from functools import cache


@cache
def warn_once(logger: logging.Logger, message: str) -> None:
    """Log a warning, unless this process has logged it."""
    logger.warning("%s", message)
