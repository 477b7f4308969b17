"""Champion of a registered model: the alias and its history.

An alias points to one version, so a model never has two champions.  A version's history is written
before the alias moves to it: a command killed at any moment leaves the old champion or the new one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.encoders.encoder_ref import EncoderRef, folder_encoder_digest
from mirror.errors import ServiceError
from mirror.held_out import HELD_OUT_SHARE
from mirror.release.history import AliasChange
from mirror.run_context import RunContext
from tasks.registry.candidate import Champion
from tasks.registry.client import open_store
from tasks.registry.remembered_answers import recall
from tasks.registry.versions import (
    CHAMPION,
    PROMOTED,
    PROMOTION_STATUS,
    ROLLED_BACK,
    fetch_version,
    find_version,
    read_aliases,
)
from tasks.retries import RETRIES
from tasks.stage_task import run_task

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

CHAMPION_HISTORY = "champion_history"
"""Version tag with a `ChampionHistory` as JSON; MLflow accepts 100,000 characters."""
MAX_PREVIOUS = 1_000
MAX_CHANGES = 50


@dataclass(frozen=True)
class ChampionHistory:
    """A version's promotions and rollbacks."""

    previous: tuple[str, ...] = ()
    """The champions before this version's latest promotion, oldest first.

    Every number is listed, not the last one alone, so that a deleted version hides none before it.
    """
    changes: tuple[AliasChange, ...] = ()

    @classmethod
    def of(cls, version: ModelVersion) -> ChampionHistory:
        """Return a version's history; empty if it was never champion."""
        content = json.loads(version.tags.get(CHAMPION_HISTORY, "{}"))
        changes = tuple(AliasChange(**change) for change in content.get("changes", ()))
        return cls(tuple(content.get("previous", ())), changes)

    def write(self, client: MlflowClient, version: ModelVersion) -> None:
        """Write the history to the version's tag, without the oldest entries if it is long."""
        content = {
            "previous": self.previous[-MAX_PREVIOUS:],
            "changes": [asdict(change) for change in self.changes[-MAX_CHANGES:]],
        }
        text = json.dumps(content, ensure_ascii=False)
        client.set_model_version_tag(version.name, str(version.version), CHAMPION_HISTORY, text)


@run_task(**RETRIES)
def fetch_champion(run: RunContext, encoder: EncoderRef) -> Champion | None:
    """Return the champion to compare an encoder with, downloaded into the workspace, or None.

    If the encoder is already champion (same digest), return the version it was compared with, so
    that a repeated run reaches the same verdict.
    """
    name = run.recipe.registry.model
    answers = recall(name, run.workspace)
    if answers and answers.encoder == encoder.digest:
        return answers.champion
    with open_store() as client:
        return champion_to_compare(client, name, encoder.digest, run.workspace)


def champion_to_compare(
    client: MlflowClient, name: str, encoder: str, workspace: Path
) -> Champion | None:
    """As `fetch_champion`, for a model's name and an encoder's digest."""
    version = find_version(client, name, read_aliases(client, name).get(CHAMPION))
    if version is not None and version.tags.get("encoder_digest") == encoder:
        version = _compared_version(client, version)
    if version is None:
        return None
    folder = fetch_version(version, workspace)
    share = version.tags.get(HELD_OUT_SHARE)
    return Champion(
        str(folder),
        folder_encoder_digest(folder),
        f"models:/{name}/{version.version}",
        version=str(version.version),
        held_out_share=None if share is None else float(share),
    )


def _compared_version(client: MlflowClient, champion: ModelVersion) -> ModelVersion | None:
    number = champion.tags.get("compared_with")
    compared = find_version(client, champion.name, number)
    if number and compared is None:
        log.warning(
            "%s version %s is this encoder, and version %s, which it was compared with, was "
            "deleted: it is compared with its base alone",
            champion.name,
            champion.version,
            number,
        )
    return compared


def set_champion(
    client: MlflowClient, version: ModelVersion, current: str | None, change: AliasChange
) -> None:
    """Make a version champion after the current one.

    Raises:
        ServiceError: the champion is no longer `current`.
    """
    if current == (number := str(version.version)):
        # A command that was killed after the alias moved has not written the status.
        client.set_model_version_tag(version.name, number, PROMOTION_STATUS, PROMOTED)
        return
    champion = find_version(client, version.name, current)
    before = ChampionHistory.of(champion).previous if champion else ()
    move_alias(client, version, current, (*before, current) if current else (), change)


def move_alias(
    client: MlflowClient,
    version: ModelVersion,
    current: str | None,
    previous: Sequence[str],
    change: AliasChange,
) -> None:
    """Make a version champion in place of `current`, after the champions in `previous`.

    Raises:
        ServiceError: the champion is no longer `current`.
    """
    name, number = version.name, str(version.version)
    changes = ChampionHistory.of(version).changes
    ChampionHistory(tuple(previous), (*changes, change)).write(client, version)
    champion = read_aliases(client, name).get(CHAMPION)
    if champion != current:
        raise ServiceError(
            f"the champion of {name} changed from version {current} to version {champion} while "
            f"version {number} was being promoted: run again"
        )
    client.set_registered_model_alias(name, CHAMPION, number)
    client.set_model_version_tag(name, number, PROMOTION_STATUS, PROMOTED)


def change_now(action: str, by: str, reason: str = "", objection: str = "") -> AliasChange:
    """Return a change of this moment."""
    return AliasChange(
        action, by, datetime.now(UTC).isoformat(timespec="seconds"), reason, objection
    )


def rolled_back_duplicate(client: MlflowClient, version: ModelVersion) -> str | None:
    """Return the last promoted version with the same encoder, if it was rolled back since."""
    digest = version.tags.get("encoder_digest", "")
    query = f"name = '{version.name}' and tag.encoder_digest = '{digest}'"
    duplicates = [
        version
        for version in client.search_model_versions(query)
        if version.tags.get(PROMOTION_STATUS) in (PROMOTED, ROLLED_BACK)
    ]
    last = max(duplicates, key=lambda version: int(version.version), default=None)
    return str(last.version) if last and last.tags[PROMOTION_STATUS] == ROLLED_BACK else None
