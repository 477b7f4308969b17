"""One of the processes that tune a model together, as torchrun starts them."""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mirror.errors import MirrorError
from mirror.shutdown import GRACE_SECONDS, ask_to_stop, end_after, stopping_on_sigterm
from mirror.tuning.distributed import WORD
from mirror.tuning.views import TextPair
from mirror.tuning_config import TuningSection


def main(job: Path) -> None:
    """Tunes by the job that the file describes; the first rank speaks for all."""
    from mirror.tuning.process_group import process_group
    from mirror.tuning.trainer import TrainingPaths
    from mirror.tuning.tune import tune

    content = json.loads(job.read_text(encoding="utf-8"))
    folders = {name: Path(folder) for name, folder in content["folders"].items()}
    items = [TextPair(*sides) for sides in content["items"]]
    settings = TuningSection.model_validate_json(json.dumps(content["settings"]))
    threading.Thread(target=_await_end_of_listener, daemon=True).start()
    with stopping_on_sigterm(), process_group() as ranks:

        def say(kind: str, said: Any) -> None:
            if ranks.is_first:
                print(WORD + json.dumps([kind, said]), flush=True)  # noqa: T201

        try:
            counts = tune(
                settings, items, TrainingPaths(**folders), lambda step: say("step", asdict(step))
            )
            say("counts", dict(counts))
        except MirrorError as fault:
            say("fault", {"kind": type(fault).__name__, "text": str(fault)})


def _await_end_of_listener() -> None:
    sys.stdin.read()
    end_after(GRACE_SECONDS)
    ask_to_stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
