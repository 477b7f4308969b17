"""Mirror tuning: a string beside itself, one side masked, dropout in both, all others apart."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch

from mirror.disk_faults import disk_faults
from mirror.errors import SampleError
from mirror.hardware import thread_count
from mirror.tuning.distillation import Teacher, read_teacher
from mirror.tuning.distributed import tune_distributed
from mirror.tuning.process_group import SINGLE_PROCESS, current_process_group
from mirror.tuning.step import OnStep, ignore
from mirror.tuning.trainer import Trainer, TrainingPaths, items_of
from mirror.tuning.training_log import write_log
from mirror.tuning.views import TextPair
from mirror.tuning_config import TuningSection

TEACHER, FIRST_PASS = "teacher.safetensors", "first-pass"
"""In the folder of checkpoints."""


def read_items(strings: Path | None, pairs: Path | None = None) -> list[TextPair]:
    """A sample's strings, each paired with itself, in its order, and then labelled pairs."""
    items = []
    if strings is not None:
        texts = pq.read_table(strings, columns=["text"])["text"].to_pylist()
        items = [TextPair(text, text) for text in texts]
    if pairs is not None:
        table = pq.read_table(pairs, columns=["first", "second"])
        columns = (table[name].to_pylist() for name in table.column_names)
        items.extend(TextPair(*sides) for sides in zip(*columns, strict=True))
    return items


def tune(
    settings: TuningSection,
    strings: Sequence[str | TextPair],
    place: TrainingPaths,
    on_step: OnStep = ignore,
) -> Mapping[str, Any]:
    """Tunes a base on strings and writes the encoder and the log of steps.

    Args:
        settings: a recipe's `[tuning]`.
        strings: each is paired with itself; an `TextPair` is a pair already.
        place: the base, and where output and checkpoints go.
        on_step: told of each step.

    Returns:
        Counts, for the stage's record.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be loaded.
        TokenizerError: masks are asked for and the tokenizer has none.
        TuningError: the loss is not a number, or the vectors have collapsed.
    """
    items = [text if isinstance(text, TextPair) else TextPair(text, text) for text in strings]
    _check_enough(settings, items)
    if settings.num_processes > 1 and current_process_group() == SINGLE_PROCESS:
        return tune_distributed(settings, items, vars(place), on_step)
    torch.set_num_threads(thread_count())
    teacher = _teacher(settings, items, place, on_step) if settings.ranking_distillation else None
    run = Trainer(settings, items, place, teacher)
    with disk_faults():  # by then nothing is read any more
        run.go(on_step)
        run.finish()
        if not run.ranks.is_first:
            return {}
        run.encoder.save(place.out / "encoder")
    return write_log(run, place.out)


def _check_enough(settings: TuningSection, items: Sequence[TextPair]) -> None:
    tuned_on, held_out = items_of(settings, items)
    if (different := len(set(tuned_on))) < settings.batch_size:
        but = f" beside {len(held_out)} that are held out to be measured on" if held_out else ""
        raise SampleError(
            f"the sample holds {different} different strings{but} and a batch takes "
            f"{settings.batch_size}: give it more text, or lower tuning.batch_size"
        )


def _teacher(
    settings: TuningSection, items: Sequence[TextPair], place: TrainingPaths, on_step: OnStep
) -> Teacher:
    """What a first encoder makes of the items: tuned now, or found as an earlier process left it.

    Its batches are those of the second pass, whose encoder starts from the base and has seen none:
    with and without a teacher, nothing but the loss differs.  Once it is written, what the first
    pass needed to go on is removed.
    """
    path, work = place.work / TEACHER, place.work / FIRST_PASS
    if found := read_teacher(path):
        return found
    work.mkdir(exist_ok=True)
    run = Trainer(settings, items, replace(place, work=work))
    with disk_faults():
        run.go(on_step)
        made = run.teach()
        made.save(path)
    shutil.rmtree(work)
    return made
