"""A full disk by its own name: safetensors has another for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from safetensors import SafetensorError


@contextmanager
def disk_faults() -> Iterator[None]:
    """Within, what safetensors raises when it cannot write is the OSError that it stands for."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from error
