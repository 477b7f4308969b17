"""A person's word on who is champion: promotion and the way back.

Both say who, when and why in the version's tags, and both are done by one command at a time.
"""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import InputError
from mirror.locks import exclusive_lock
from mirror.release.history import AliasChange
from tasks.registry.client import open_store
from tasks.registry.indexes import alike, word_on_indexes
from tasks.registry.lock import registry_lock, workspace_id
from tasks.registry.succession import (
    add_move,
    move_now,
    previous_champions,
    record_promotion,
    set_champion_alias,
)
from tasks.registry.versions import (
    AWAITS_APPROVAL,
    CHALLENGER,
    CHAMPION,
    NOT_PROMOTED,
    OVERTAKEN,
    PROMOTED,
    ROLLED_BACK,
    SETTLED,
    aliases_of,
    all_versions,
    check_name,
    find_version,
)

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

RESTORED = "restored"
REASON_CHARACTERS = 1_000


@dataclass(frozen=True)
class PromotionResult:
    """What a command came to."""

    model: str
    version: str
    """The champion now."""
    before: str | None
    """The champion before; the same where there was nothing to do."""
    text: str
    """All that in a sentence."""
    index: str = ""
    """What it means for those who hold an index of the former champion's vectors."""


def promote_version(
    name: str, version: str | None, workspace: Path, *, reason: str = "", force: bool = False
) -> PromotionResult:
    """Makes a version champion, the challenger if none is named.

    Args:
        name: the model.
        version: its number.
        workspace: whose lock is taken.
        reason: why, for the history.
        force: also one that the gate refused, that was overtaken or that was rolled back.

    Raises:
        InputError: there is no such version, or something speaks against it and it is not forced.
        ServiceError: the registry does not answer.
    """
    _check(name, reason)
    with _moving(name, workspace) as (client, check):
        chosen, champion = _chosen(client, name, version)
        number, today = str(chosen.version), str(champion.version) if champion else None
        if number == today:
            client.set_model_version_tag(name, number, SETTLED, PROMOTED)  # a killed command's
            text = f"{name} version {number} is champion already: nothing to do"
            return PromotionResult(name, number, today, text)
        objection = _objection(chosen, champion)
        if objection and not force:
            raise InputError(f"{name}: {objection}: give --force to make it champion all the same")
        record_promotion(client, chosen, today, move_now(PROMOTED, who(), reason, objection), check)
        client.set_model_version_tag(name, number, SETTLED, PROMOTED)
    after = f" after version {today}" if today else ""
    despite = f", though {objection}" if objection else ""
    text = f"{name} version {number}: champion{after}{despite}"
    return PromotionResult(
        name, number, today, text, word_on_indexes(champion, chosen) if champion else ""
    )


def roll_back(
    name: str, workspace: Path, *, to: str | None = None, reason: str = ""
) -> PromotionResult:
    """Makes the version champion that was so before today's, or an earlier one.

    Whoever asks while another is moving the alias is refused: what he saw is no longer so.

    Args:
        name: the model.
        workspace: whose lock is taken.
        to: a version that was champion before today's; nothing means the last.
        reason: why, for the history.

    Raises:
        InputError: there is none to go back to, or it was deleted, or the champion has changed
            since it was looked at.
        ServiceError: the registry does not answer.
    """
    _check(name, reason)
    with open_store() as client:
        all_versions(client, name)
        seen = aliases_of(client, name).get(CHAMPION)
    with _moving(name, workspace) as (client, check):
        today = aliases_of(client, name).get(CHAMPION)
        if today != seen:
            raise InputError(
                f"{name}: somebody has just made version {today} champion in place of {seen}: look "
                f"at `mirror history {name}`, and roll back again if that is still wanted"
            )
        champion = find_version(client, name, today)
        if today is None or champion is None:
            raise InputError(
                f"{name} has no champion, so there is none to go back to: `mirror history {name}` "
                f"says why; `mirror promote {name} VERSION` makes one, with --force even a version "
                "that the gate refused"
            )
        if to == today:
            return PromotionResult(
                name, today, today, f"{name} version {to} is champion: nothing to do"
            )
        target = _go_back(client, champion, to, move_now(RESTORED, who(), reason), check)
    number = str(target.version)
    text = f"{name}: back from version {today} to version {number}"
    return PromotionResult(name, number, today, text, word_on_indexes(champion, target))


def _go_back(
    client: MlflowClient,
    champion: ModelVersion,
    to: str | None,
    move: AliasChange,
    check: Callable[[], None],
) -> ModelVersion:
    """Moves the alias from a champion to an earlier one, which is returned."""
    today, line = str(champion.version), previous_champions(client, champion)
    target = _target(client, champion, line, to)
    number = str(target.version)
    place = len(line) - 1 - line[::-1].index(number)
    for each in sorted({*line[place + 1 :], today} - {number}, key=int):
        back = replace(move, what=ROLLED_BACK)
        _mark_rolled_back(client, find_version(client, champion.name, each), back)
    client.set_model_version_tag(champion.name, number, SETTLED, PROMOTED)
    add_move(client, target, move)
    set_champion_alias(client, target, line[:place], check)
    return target


def who() -> str:
    """User and host, as the environment has them."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user has no name
        user = f"user-{os.getuid()}"
    return f"{user}@{socket.gethostname()}"


@contextmanager
def _moving(name: str, workspace: Path) -> Iterator[tuple[MlflowClient, Callable[[], None]]]:
    (workspace / "locks").mkdir(parents=True, exist_ok=True)
    owner = workspace_id(workspace)
    with (
        exclusive_lock(workspace / "locks" / f"registry-{name}.lock"),
        open_store() as client,
        registry_lock(client, name, owner) as check,
    ):
        yield client, check


def _check(name: str, reason: str) -> None:
    check_name(name)
    if len(reason) > REASON_CHARACTERS:
        raise InputError(
            f"--reason has {len(reason):,} characters: give {REASON_CHARACTERS:,} at most"
        )


def _chosen(
    client: MlflowClient, name: str, number: str | None
) -> tuple[ModelVersion, ModelVersion | None]:
    """The version of that number, else the challenger, and today's champion if there is one."""
    versions = {str(found.version): found for found in all_versions(client, name)}
    aliases = aliases_of(client, name)
    chosen = versions.get(number or aliases.get(CHALLENGER, ""))
    if chosen is None:
        which = f"no version {number}" if number else "no challenger"
        raise InputError(f"{name} has {which}: `mirror history {name}` lists its versions")
    return chosen, versions.get(aliases.get(CHAMPION, ""))


def _objection(version: ModelVersion, champion: ModelVersion | None) -> str:
    """What speaks against making a version champion; nothing if that is what it waits for."""
    number, settled = version.version, version.tags.get(SETTLED, "")
    if not settled:
        return f"the run that registered version {number} has not ended"
    if settled == NOT_PROMOTED:
        return f"the gate refused version {number}"
    if settled.startswith(OVERTAKEN):
        return f"version {number} was {settled}"
    if settled == ROLLED_BACK:
        return f"version {number} was rolled back"
    if not settled.startswith(AWAITS_APPROVAL):
        return f"version {number} was champion before, and `mirror rollback` goes back to such"
    if champion is None or alike(version, champion):
        return ""
    compared = version.tags.get("compared_with")
    if compared == str(champion.version):
        return ""
    other = f"version {compared}" if compared else "no champion"
    return f"version {number} was compared with {other}, and not with version {champion.version}"


def _target(
    client: MlflowClient, champion: ModelVersion, line: tuple[str, ...], to: str | None
) -> ModelVersion:
    name, today = champion.name, champion.version
    if to is not None and to not in line:
        raise InputError(
            f"{name} version {to} was not champion before version {today}: "
            f"`mirror promote {name} {to}` makes it champion"
        )
    if not line:
        raise InputError(
            f"{name} version {today} is its first champion: there is none to go back to"
        )
    number = to or line[-1]
    target = find_version(client, name, number)
    if target is None:
        older = [each for each in line if find_version(client, name, each)]
        remedy = f"--to {older[-1]} goes to one that is there" if older else "none is left"
        raise InputError(
            f"{name} version {number}, champion before version {today}, was deleted: {remedy}"
        )
    return target


def _mark_rolled_back(
    client: MlflowClient, version: ModelVersion | None, move: AliasChange
) -> None:
    # One that is marked already is a killed command's, or was rolled back before.
    if version is None or version.tags.get(SETTLED) == ROLLED_BACK:
        return
    add_move(client, version, move)
    client.set_model_version_tag(version.name, str(version.version), SETTLED, ROLLED_BACK)
