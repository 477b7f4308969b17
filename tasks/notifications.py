"""Notifications of promotions, refusals and failures, through Prefect's blocks.

`MIRROR_NOTIFY` names notification blocks, such as `slack-webhook/team`.  Their URLs and secrets are
stored on the Prefect server and in no setting of ours.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mirror.errors import InputError
from mirror.secrets import without_secrets

if TYPE_CHECKING:
    from prefect import Flow
    from prefect.client.schemas import FlowRun, State

log = logging.getLogger(__name__)

NOTIFY = "MIRROR_NOTIFY"
BODY_CHARACTERS = 4_000
_BLOCK = re.compile(r"[a-z0-9-]+/[a-z0-9-]+")


def notification_blocks() -> tuple[str, ...]:
    """Return the names of the notification blocks, as TYPE/NAME.

    Raises:
        InputError: a name is malformed.
    """
    names = tuple(part.strip() for part in os.environ.get(NOTIFY, "").split(",") if part.strip())
    for name in names:
        if not _BLOCK.fullmatch(name):
            # The value is not quoted: it may be the URL of a webhook, which is a secret.
            raise InputError(
                f"{NOTIFY} contains a malformed block name: give type and name of a notification "
                "block, such as slack-webhook/team, with commas between several"
            )
    return names


def check_notification_blocks() -> None:
    """Check on the Prefect server that the blocks exist and can send notifications.

    Raises:
        InputError: a block is missing, or is of another kind.
    """
    for name in notification_blocks():
        try:
            block = _load(name)
        except Exception as error:  # Prefect raises many kinds for a block it cannot load
            raise InputError(
                f"{NOTIFY} names {name}, which cannot be loaded from the Prefect server "
                f"({without_secrets(str(error))}): create the block there, or correct the name"
            ) from error
        if not hasattr(block, "notify"):
            raise InputError(
                f"{NOTIFY} names {name}, which is not a notification block: name another"
            )


def notify(subject: str, lines: Sequence[str]) -> None:
    """Send a notification through all blocks; log a warning for each that fails."""
    body = without_secrets("\n".join(lines))[:BODY_CHARACTERS]
    for name in notification_blocks():
        try:
            block = _load(name)
            with block.raise_on_failure():
                block.notify(body, subject)
        except Exception as error:  # a webhook can fail in any way
            reason = without_secrets(str(error))
            log.warning("the notification %r through %s failed: %s", subject, name, reason)


def notify_failure(flow: Flow[Any, Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Send a notification of a failed flow run; a hook of flows."""
    recipe = flow_run.parameters.get("recipe", flow_run.name)
    notify(
        f"{recipe}: failed", [state.message or "no reason was given", f"flow run {flow_run.name}"]
    )


def _load(name: str) -> Any:
    from prefect.blocks.core import Block

    return Block.load(name)
