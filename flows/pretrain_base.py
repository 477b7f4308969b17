"""Flow that pretrains a base model: vocabulary, tokenized corpus, masked language modelling."""

from __future__ import annotations

from pathlib import Path

from prefect import flow

from mirror.pretraining.config import find_pretraining
from mirror.store import StageRecord
from tasks import stages
from tasks.environment import workspace_root
from tasks.local_api import temporary_api


@flow(name="pretrain-base")
def pretrain_base(
    name: str, corpus: tuple[str, ...] = (), minutes: float | None = None
) -> StageRecord:
    """Make the base model that `models/NAME.toml` describes.

    Args:
        name: the file's name without its ending, or a path that ends in `.toml`.
        corpus: Parquet files that replace the file's own.
        minutes: stop after this time, with a checkpoint; the same call continues from it.

    Raises:
        MirrorError: the file or the corpus is faulty, or the loss is not a number.
        PretrainingPaused: `minutes` were over first.
    """
    settings = find_pretraining(name, corpus=tuple(str(Path(path).absolute()) for path in corpus))
    workspace = workspace_root()
    pieces = stages.prepare_pieces(settings, workspace)
    return stages.pretrain_model(settings, pieces, workspace, minutes)


def start_pretraining(
    name: str, corpus: tuple[str, ...] = (), minutes: float | None = None
) -> StageRecord:
    """Run `pretrain_base` from a terminal: faults of the file show before Prefect starts."""
    find_pretraining(name)
    with temporary_api() as wait_for_api:
        wait_for_api()
        return pretrain_base(name, corpus, minutes)
