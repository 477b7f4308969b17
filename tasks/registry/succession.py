"""Who was champion before whom, and who said so when.

Each version keeps, from when it is made champion, the champions that it came after: so going back
twice goes back two promotions, whichever versions were champion more than once.  What is kept is
written before the alias is moved, which alone decides: a command that is killed has changed
nothing, or all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mirror.release.history import AliasChange
from tasks.registry.versions import CHAMPION, PROMOTED, ROLLED_BACK, SETTLED, find_version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

THE_GATE = "the gate"
PREVIOUS = "previous_champion"
LINE = "champions_before"
MOVE = "move."
"""Tags `move.0001`, `move.0002` and so on tell, in order, what was done with a version."""
LONGEST_LINE = 1_000


def previous_champions(client: MlflowClient, champion: ModelVersion | None) -> tuple[str, ...]:
    """The champions that a champion came after, oldest first."""
    line: list[str] = []
    while champion is not None:
        if LINE in champion.tags:
            return (*json.loads(champion.tags[LINE]), *reversed(line))
        # Promoted before lines were kept: follow the chain.
        previous = champion.tags.get(PREVIOUS)
        if not previous or previous in line:
            break
        line.append(previous)
        champion = find_version(client, champion.name, previous)
    return tuple(reversed(line))


def set_champion_alias(
    client: MlflowClient, version: ModelVersion, line: Sequence[str], check: Callable[[], None]
) -> None:
    """Moves the alias; call it where nobody else can.

    Args:
        client: of the tracking store.
        version: the new champion.
        line: the champions that it comes after, oldest first.
        check: as `sole_mover` yields it.
    """
    name, number = version.name, str(version.version)
    client.set_model_version_tag(name, number, LINE, json.dumps(list(line[-LONGEST_LINE:])))
    if line:
        client.set_model_version_tag(name, number, PREVIOUS, line[-1])
    elif PREVIOUS in version.tags:
        client.delete_model_version_tag(name, number, PREVIOUS)
    check()
    client.set_registered_model_alias(name, CHAMPION, number)


def record_promotion(
    client: MlflowClient,
    version: ModelVersion,
    today: str | None,
    move: AliasChange,
    check: Callable[[], None],
) -> None:
    """Makes a version champion after today's, if it is not champion already."""
    if today == str(version.version):
        return
    line = previous_champions(client, find_version(client, version.name, today))
    add_move(client, version, move)
    set_champion_alias(client, version, (*line, today) if today else (), check)


def add_move(client: MlflowClient, version: ModelVersion, move: AliasChange) -> None:
    """Writes down what is done with a version."""
    number = sum(tag.startswith(MOVE) for tag in version.tags) + 1
    key, value = f"{MOVE}{number:04d}", json.dumps(asdict(move), ensure_ascii=False)
    client.set_model_version_tag(version.name, str(version.version), key, value)


def read_moves(version: ModelVersion) -> tuple[AliasChange, ...]:
    """What was done with a version, in order."""
    keys = sorted(tag for tag in version.tags if tag.startswith(MOVE))
    return tuple(AliasChange(**json.loads(version.tags[key])) for key in keys)


def move_now(what: str, by: str, why: str = "", despite: str = "") -> AliasChange:
    """A move of this moment."""
    return AliasChange(what, by, datetime.now(UTC).isoformat(timespec="seconds"), why, despite)


def rolled_back_duplicate(client: MlflowClient, version: ModelVersion) -> str | None:
    """The version of the same encoder that was last promoted, if it was rolled back since."""
    name, digest = version.name, version.tags.get("encoder_digest", "")
    found = client.search_model_versions(f"name = '{name}' and tag.encoder_digest = '{digest}'")
    twins = [twin for twin in found if twin.tags.get(SETTLED) in (PROMOTED, ROLLED_BACK)]
    last = max(twins, key=lambda twin: int(twin.version), default=None)
    return str(last.version) if last and last.tags[SETTLED] == ROLLED_BACK else None
