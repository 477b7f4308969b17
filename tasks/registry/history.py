"""History of a registered model: a summary of every version."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mirror.evaluation.general import is_general
from mirror.release.history import VersionSummary
from tasks.registry.champion import ChampionHistory
from tasks.registry.client import open_store, or_none
from tasks.registry.versions import (
    BASE_ENCODER,
    NOT_PROMOTED,
    PROMOTION_STATUS,
    REFUSED,
    RUN_NOT_ENDED,
    check_name,
    list_versions,
    read_aliases,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)


def read_history(name: str) -> tuple[VersionSummary, ...]:
    """Return a summary of every version of a model, oldest first.

    Raises:
        InputError: there is none.
        ServiceError: the registry does not answer.
    """
    check_name(name)
    with open_store() as client:
        versions = list_versions(client, name)
        aliases = read_aliases(client, name)
        parents = _find_parents(versions)
        return tuple(
            _summarize(client, version, aliases, parents.get(str(version.version), ""))
            for version in versions
        )


def _find_parents(versions: Sequence[ModelVersion]) -> dict[str, str]:
    """Return the version that each was tuned from, by number; not those with another base.

    Args:
        versions: oldest first.
    """
    parents: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for version in versions:
        tags, number = version.tags, str(version.version)
        if (base := tags.get(BASE_ENCODER, "")) in numbers:
            parents[number] = numbers[base]
        if encoder := tags.get("encoder_digest", ""):
            numbers.setdefault(encoder, number)
    return parents


def _summarize(
    client: MlflowClient, version: ModelVersion, aliases: Mapping[str, str], parent: str
) -> VersionSummary:
    scores = _read_scores(client, version)
    tags, number = version.tags, str(version.version)
    status = tags.get(PROMOTION_STATUS, RUN_NOT_ENDED)
    created = datetime.fromtimestamp(version.creation_timestamp / 1_000, UTC)
    return VersionSummary(
        number=number,
        created=created.isoformat(timespec="seconds"),
        recipe=tags.get("recipe", ""),
        corpus=tags.get("corpus_digest", ""),
        scores=scores,
        verdict=tags.get("verdict", ""),
        reasons=version.description or "",
        status=REFUSED if status == NOT_PROMOTED else status,
        changes=ChampionHistory.of(version).changes,
        aliases=tuple(sorted(alias for alias, target in aliases.items() if target == number)),
        general=frozenset(filter(is_general, scores)),
        parent=parent,
    )


def _read_scores(
    client: MlflowClient, version: ModelVersion
) -> dict[str, tuple[float | None, float | None]]:
    """Return each benchmark's score before and after tuning; empty if the run was deleted."""
    if not (run_id := version.run_id):
        return {}
    run = or_none(lambda: client.get_run(run_id))
    if run is None:
        log.warning("the run of %s version %s was deleted", version.name, version.version)
        return {}
    metrics = run.data.metrics
    benchmarks = {
        metric.partition("/")[2] for metric in metrics if metric.startswith(("base/", "tuned/"))
    }
    return {
        benchmark: (metrics.get(f"base/{benchmark}"), metrics.get(f"tuned/{benchmark}"))
        for benchmark in sorted(benchmarks)
        if "." not in benchmark  # a dot marks an additional metric of a benchmark
    }
