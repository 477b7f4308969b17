"""Promotion and rollback of a registered model's champion by a person.

Both record who, when and why in the version's `champion_history`.
"""

from __future__ import annotations

import getpass
import os
import re
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import InputError
from mirror.release.history import AliasChange
from tasks.registry.champion import ChampionHistory, change_now, move_alias, set_champion
from tasks.registry.client import open_store, registry_lock
from tasks.registry.versions import (
    CHALLENGER,
    CHAMPION,
    NOT_PROMOTED,
    PENDING_APPROVAL,
    PROMOTED,
    PROMOTION_STATUS,
    ROLLED_BACK,
    SUPERSEDED,
    check_name,
    find_version,
    is_same_encoder,
    list_versions,
    read_aliases,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

RESTORED = "restored"
REASON_CHARACTERS = 1_000
RECIPE_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
COMPATIBILITY_VERDICTS = ("keep", "rotate", "re-embed")


@dataclass(frozen=True)
class PromotionResult:
    """Result of a promotion or a rollback."""

    model: str
    version: str
    """The champion now."""
    previous: str | None
    """The champion before; the same version if nothing changed."""
    text: str
    """The result in a sentence."""
    index_advice: str = ""
    """Whether an index of the previous champion's embeddings still serves."""


def promote(
    name: str, number: str | None, workspace: Path, *, reason: str = "", force: bool = False
) -> PromotionResult:
    """Make a version champion; the challenger if no number is given.

    Args:
        name: the model.
        number: the version's.
        workspace: its lock is taken.
        reason: kept in the history.
        force: promote despite an objection, such as the gate's refusal or a rollback.

    Raises:
        InputError: there is no such version, or there is an objection and `force` is false.
        ServiceError: the registry does not answer.
    """
    _check_request(name, reason)
    with registry_lock(name, workspace) as client:
        version, champion = _choose_version(client, name, number)
        number, previous = str(version.version), str(champion.version) if champion else None
        if number == previous:
            set_champion(client, version, previous, change_now(PROMOTED, current_user()))
            text = f"{name} version {number} is champion already: nothing to do"
            return PromotionResult(name, number, previous, text)
        objection = _find_objection(version, champion)
        if objection and not force:
            raise InputError(f"{name}: {objection}: give --force to promote it anyway")
        change = change_now(PROMOTED, current_user(), reason, objection)
        set_champion(client, version, previous, change)
    after = f" after version {previous}" if previous else ""
    despite = f", although {objection}" if objection else ""
    text = f"{name} version {number}: champion{after}{despite}"
    advice = advise_on_index(champion, version) if champion else ""
    return PromotionResult(name, number, previous, text, advice)


def roll_back(
    name: str, workspace: Path, *, to: str | None = None, reason: str = ""
) -> PromotionResult:
    """Make the previous champion champion again, or an earlier one.

    Args:
        name: the model.
        workspace: its lock is taken.
        to: an earlier champion's number; None means the last.
        reason: kept in the history.

    Raises:
        InputError: there is no earlier champion, it was deleted, or another command changed the
            champion while this one waited for the lock.
        ServiceError: the registry does not answer.
    """
    _check_request(name, reason)
    with open_store() as client:
        list_versions(client, name)
        seen = read_aliases(client, name).get(CHAMPION)
    with registry_lock(name, workspace) as client:
        current = read_aliases(client, name).get(CHAMPION)
        if current != seen:
            raise InputError(
                f"{name}: another command has just made version {current} champion in place of "
                f"{seen}: see `mirror history {name}`, and roll back again if you still want to"
            )
        champion = find_version(client, name, current)
        if current is None or champion is None:
            raise InputError(
                f"{name} has no champion: `mirror promote {name} VERSION` makes one, with --force "
                f"even a version that the gate refused; `mirror history {name}` lists them"
            )
        if to == current:
            text = f"{name} version {to} is champion: nothing to do"
            return PromotionResult(name, current, current, text)
        target = _restore(client, champion, to, change_now(RESTORED, current_user(), reason))
    number = str(target.version)
    text = f"{name}: back from version {current} to version {number}"
    return PromotionResult(name, number, current, text, advise_on_index(champion, target))


def current_user() -> str:
    """Return user and host, such as `ann@desk`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = f"user-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


def advise_on_index(old: ModelVersion, new: ModelVersion) -> str:
    """Return whether an index of the old version's embeddings serves the new version.

    The new version's run has a report only if the gate compared it with that very version;
    otherwise the advice is the command that makes one.
    """
    name, before, after = new.name, str(old.version), str(new.version)
    if is_same_encoder(old, new):
        return f"It is the same encoder as version {before}: an index can stay as it is."
    verdict = new.tags.get("compatibility")
    if verdict in COMPATIBILITY_VERDICTS and new.tags.get("compared_with") == before:
        return (
            f"An index of version {before}'s embeddings: {verdict}. Report and map are in "
            f"compatibility/ of version {after}'s run."
        )
    recipe = new.tags.get("recipe", "")
    texts = f" --recipe {recipe}" if RECIPE_NAME.fullmatch(recipe) else " --texts FILE"
    return (
        f"To see whether an index of version {before}'s embeddings still serves: mirror compare "
        f"models:/{name}/{before} models:/{name}/{after}{texts} --save-map map.npz"
    )


def _check_request(name: str, reason: str) -> None:
    check_name(name)
    if len(reason) > REASON_CHARACTERS:
        raise InputError(
            f"--reason has {len(reason):,} characters: give {REASON_CHARACTERS:,} at most"
        )


def _choose_version(
    client: MlflowClient, name: str, number: str | None
) -> tuple[ModelVersion, ModelVersion | None]:
    """Return the version of that number, or the challenger, and the champion if there is one."""
    versions = {str(version.version): version for version in list_versions(client, name)}
    aliases = read_aliases(client, name)
    version = versions.get(number or aliases.get(CHALLENGER, ""))
    if version is None:
        missing = f"no version {number}" if number else "no challenger"
        raise InputError(f"{name} has {missing}: `mirror history {name}` lists its versions")
    return version, versions.get(aliases.get(CHAMPION, ""))


def _find_objection(version: ModelVersion, champion: ModelVersion | None) -> str:
    """Return why a version should not become champion; empty if it only waits for approval."""
    number, status = version.version, version.tags.get(PROMOTION_STATUS, "")
    if not status:
        return f"the run that registered version {number} has not ended"
    if status == NOT_PROMOTED:
        return f"the gate refused version {number}"
    if status.startswith(SUPERSEDED):
        return f"version {number} was {status}"
    if status == ROLLED_BACK:
        return f"version {number} was rolled back"
    if not status.startswith(PENDING_APPROVAL):
        return f"version {number} was champion before: use `mirror rollback --to {number}`"
    if champion is None or is_same_encoder(version, champion):
        return ""
    compared = version.tags.get("compared_with")
    if compared == str(champion.version):
        return ""
    other = f"version {compared}" if compared else "no champion"
    return f"version {number} was compared with {other}, and not with version {champion.version}"


def _restore(
    client: MlflowClient, champion: ModelVersion, to: str | None, change: AliasChange
) -> ModelVersion:
    """Move the alias back to an earlier champion, and return that version."""
    current, previous = str(champion.version), ChampionHistory.of(champion).previous
    target = _find_target(client, champion, previous, to)
    number = str(target.version)
    position = len(previous) - 1 - previous[::-1].index(number)
    for skipped in sorted({*previous[position + 1 :], current} - {number}, key=int):
        version = find_version(client, champion.name, skipped)
        if version and version.tags.get(PROMOTION_STATUS) != ROLLED_BACK:
            _mark_rolled_back(client, version, replace(change, action=ROLLED_BACK))
    move_alias(client, target, current, previous[:position], change)
    return target


def _find_target(
    client: MlflowClient, champion: ModelVersion, previous: tuple[str, ...], to: str | None
) -> ModelVersion:
    name, current = champion.name, champion.version
    if to is not None and to not in previous:
        raise InputError(
            f"{name} version {to} was not champion before version {current}: "
            f"`mirror promote {name} {to}` makes it champion"
        )
    if not previous:
        raise InputError(f"{name} version {current} is its first champion: there is no earlier one")
    number = to or previous[-1]
    target = find_version(client, name, number)
    if target is None:
        existing = [each for each in previous if find_version(client, name, each)]
        remedy = f"--to {existing[-1]} restores one that exists" if existing else "none is left"
        raise InputError(
            f"{name} version {number}, champion before version {current}, was deleted: {remedy}"
        )
    return target


def _mark_rolled_back(client: MlflowClient, version: ModelVersion, change: AliasChange) -> None:
    history = ChampionHistory.of(version)
    replace(history, changes=(*history.changes, change)).write(client, version)
    client.set_model_version_tag(version.name, str(version.version), PROMOTION_STATUS, ROLLED_BACK)
