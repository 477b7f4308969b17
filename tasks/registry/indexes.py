"""What a change of champion means for those who hold an index of the former one's vectors."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

RECIPE = re.compile(r"[a-z0-9][a-z0-9._-]*")
VERDICTS = ("keep", "rotate", "re-embed")


def word_on_indexes(old: ModelVersion, new: ModelVersion) -> str:
    """A sentence: what the new version's own report says, or the one command that makes a report.

    A run makes that report where the gate lets its encoder through. It is about the champion of
    that time, in one direction: after a forced promotion or a rollback there is mostly none.
    """
    name, before, now = new.name, str(old.version), str(new.version)
    if alike(old, new):
        return f"It is the same encoder as version {before}: an index can stay as it is."
    verdict = new.tags.get("compatibility")
    if verdict in VERDICTS and new.tags.get("compared_with") == before:
        return (
            f"An index of version {before}'s vectors: {verdict}. Report and map are in "
            f"compatibility/ of version {now}'s run."
        )
    recipe = new.tags.get("recipe", "")
    where = f" --recipe {recipe}" if RECIPE.fullmatch(recipe) else " --texts FILE"
    return (
        f"Whether an index of version {before}'s vectors still serves, says: mirror compare "
        f"models:/{name}/{before} models:/{name}/{now}{where} --save-map map.npz"
    )


def alike(version: ModelVersion, other: ModelVersion) -> bool:
    """Whether two versions are one encoder."""
    digest = version.tags.get("encoder_digest")
    return digest is not None and bool(digest == other.tags.get("encoder_digest"))
