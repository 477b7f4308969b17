"""A registered model's versions, as the registry has them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mirror.release.history import VersionSummary
from tasks.registry.client import NOT_THERE, open_store
from tasks.registry.succession import read_moves
from tasks.registry.versions import NOT_PROMOTED, SETTLED, aliases_of, all_versions, check_name

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

REFUSED = "refused"
UNSETTLED = "its run has not ended"


def read_history(name: str) -> tuple[VersionSummary, ...]:
    """Every version of a model, oldest first.

    Raises:
        InputError: there is none.
        ServiceError: the registry does not answer.
    """
    check_name(name)
    with open_store() as client:
        versions = all_versions(client, name)
        aliases = aliases_of(client, name)
        return tuple(_line(client, version, aliases) for version in versions)


def _line(
    client: MlflowClient, version: ModelVersion, aliases: Mapping[str, str]
) -> VersionSummary:
    tags, number = version.tags, str(version.version)
    settled = tags.get(SETTLED, UNSETTLED)
    moment = datetime.fromtimestamp(version.creation_timestamp / 1_000, UTC)
    return VersionSummary(
        number=number,
        at=moment.isoformat(timespec="seconds"),
        recipe=tags.get("recipe", ""),
        corpus=tags.get("corpus_digest", ""),
        scores=_scores(client, version),
        verdict=tags.get("verdict", ""),
        reasons=version.description or "",
        outcome=REFUSED if settled == NOT_PROMOTED else settled,
        moves=read_moves(version),
        aliases=tuple(sorted(alias for alias, of in aliases.items() if of == number)),
    )


def _scores(
    client: MlflowClient, version: ModelVersion
) -> dict[str, tuple[float | None, float | None]]:
    """Of each benchmark; none if the run was deleted."""
    from mlflow.exceptions import MlflowException

    try:
        metrics = client.get_run(version.run_id).data.metrics if version.run_id else {}
    except MlflowException as error:
        if error.error_code != NOT_THERE:
            raise
        log.warning("the run of %s version %s was deleted", version.name, version.version)
        return {}
    # A dot parts a benchmark from what is measured beside its score.
    sides = {
        metric.partition("/")[2] for metric in metrics if metric.startswith(("base/", "tuned/"))
    }
    return {
        benchmark: (metrics.get(f"base/{benchmark}"), metrics.get(f"tuned/{benchmark}"))
        for benchmark in sorted(sides)
        if "." not in benchmark
    }
