"""Deployments: what prefect.yaml says, what the server has, and how to make them the same.

The file's `name` is a tag of all its deployments: what bears it on the server came from the file.
Nothing else there is ever touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Deployment:
    """A deployment, as far as file and server can be compared."""

    name: str
    """`flow/deployment`, as Prefect's commands take it."""
    settings: Mapping[str, Any]
    """By the names that prefect.yaml has for them."""
    schedules: Mapping[str, Mapping[str, Any]]
    """By their slugs; on the server one may lack a slug, and has its identity here."""
    tags: frozenset[str] = frozenset()
    identity: str = ""
    """The server's; nothing for one of the file."""
