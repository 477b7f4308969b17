"""A process of distributed tuning, started by torchrun; rank 0 sends messages to the parent."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirror.errors import MirrorError
from mirror.shutdown import exit_with_parent, stop_within_grace, stopping_on_sigterm
from mirror.tuning.distributed import MESSAGE
from mirror.tuning.guard import Guard
from mirror.tuning.items import DocumentItem, Item, TextPair
from mirror.tuning.messages import error_message
from mirror.tuning.process_group import process_group
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning_config import TuningSection


def main(job_file: Path) -> None:
    """Tune by the job in the file, as one process of the group; the first sends the messages."""
    job = json.loads(job_file.read_text(encoding="utf-8"))
    folders = {name: Path(folder) for name, folder in job["folders"].items()}
    items = [_item(fields) for fields in job["items"]]
    settings = TuningSection.model_validate_json(json.dumps(job["settings"]))
    exit_with_parent(stop_within_grace)
    with stopping_on_sigterm(), process_group() as group:

        def send(kind: str, content: Any) -> None:
            if group.is_first:
                print(MESSAGE + json.dumps([kind, content]), flush=True)  # noqa: T201

        try:
            counts = tune(
                settings,
                items,
                TrainingPaths(**folders),
                lambda step: send("step", asdict(step)),
                Guard(**job["guard"]) if job["guard"] else None,
            )
            send("counts", dict(counts))
        except MirrorError as error:
            send("error", error_message(error))


def _item(fields: Mapping[str, Any]) -> Item:
    if "first" in fields:
        return TextPair(**fields)
    return DocumentItem(**{**fields, "sentences": tuple(fields["sentences"])})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
