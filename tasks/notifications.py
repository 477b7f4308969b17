"""Word of what people should know at once: promotion, refusal, failure; through Prefect's blocks.

`MIRROR_NOTIFY` names notification blocks, such as `slack-webhook/team`: the server keeps their
addresses and secrets, and we never see them in a setting.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mirror.errors import InputError
from tasks.network import without_secrets

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas import FlowRun, State

log = logging.getLogger(__name__)

NOTIFY = "MIRROR_NOTIFY"
BODY_CHARACTERS = 4_000
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


def notice_blocks() -> tuple[str, ...]:
    """The blocks that are told, by type and name.

    Raises:
        InputError: one is not named so.
    """
    named = tuple(part.strip() for part in os.environ.get(NOTIFY, "").split(",") if part.strip())
    for block in named:
        if not _BLOCK.fullmatch(block):
            # Not quoted: what is set by mistake there may be a webhook's address, a secret.
            raise InputError(
                f"{NOTIFY} names something that is no block: name a notification block by type and "
                "name, such as slack-webhook/team, with commas between several"
            )
    return named


def check_notices() -> None:
    """Checks, on the Prefect server, that the blocks are there and can notify.

    Raises:
        InputError: one is not.
    """
    for name in notice_blocks():
        try:
            block = _load(name)
        except Exception as error:  # whatever Prefect raises for a block it cannot load
            raise InputError(
                f"{NOTIFY} names {name}, which the Prefect server does not give "
                f"({without_secrets(str(error))}): make the block there, or correct the name"
            ) from error
        if not hasattr(block, "notify"):
            raise InputError(f"{NOTIFY} names {name}, which is no block for notifications")


def notify(subject: str, lines: Sequence[str]) -> None:
    """Tells all blocks; that one cannot be told is a warning, and no reason for a run to fail."""
    body = without_secrets("\n".join(lines))[:BODY_CHARACTERS]
    for name in notice_blocks():
        try:
            block = _load(name)
            with block.raise_on_failure():
                block.notify(body, subject)
        except Exception as error:  # a webhook may answer anything, or nothing
            log.warning("%s was not told of %r: %s", name, subject, without_secrets(str(error)))


def notify_failure(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """A flow's hook: what failed, and why."""
    recipe = flow_run.parameters.get("recipe", flow_run.name)
    notify(
        f"{recipe}: failed", [state.message or "no reason was given", f"flow run {flow_run.name}"]
    )


def _load(name: str) -> Any:
    from prefect.blocks.core import Block

    return Block.load(name)
