"""The two stages that make a base model: the corpus as word pieces, and the model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mirror.errors import CorpusError
from mirror.pretraining.settings import MODELS, PretrainingSettings
from mirror.progress import OnProgress, Progress, silent
from mirror.store import Stage, StageRecord, Store, file_digest, folder_digest, section_content

CHECKOUT = MODELS.parent
PIECES_FIELDS = {"shape", "leave_out", "base", "seed", "dropout", "language"}


class Unfinished(Exception):
    """A sitting ended before its run did; not a fault."""


def pieces_stage(settings: PretrainingSettings) -> Stage:
    """Tokenizer, starting weights and the corpus as word pieces.

    Raises:
        CorpusError: a corpus file or the base is missing.
    """
    inputs = {}
    for name in settings.corpus:
        path = CHECKOUT / name
        if not path.is_file():
            raise CorpusError(f"no corpus at {path}: correct `corpus`, or pass --corpus PATH")
        inputs[f"corpus {path.name}"] = file_digest(path)
    if settings.base is not None:
        base = CHECKOUT / settings.base
        if not base.is_dir():
            raise CorpusError(f"no base model at {base}: correct `base`")
        inputs["base"] = folder_digest(base)
    section = settings.model_dump(mode="json", include=PIECES_FIELDS)
    return Stage("pieces", "pretraining.pieces", inputs, section, ("tokenizers",))


def prepare_pieces(
    settings: PretrainingSettings, store: Store, on_progress: OnProgress = silent
) -> StageRecord:
    """Trains the vocabulary (or takes the base's), encodes the corpus, makes the first weights."""

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.pieces import write_pieces

        return write_pieces(settings, lambda: read_texts(settings, on_progress), out)

    return store.make(pieces_stage(settings), write)


def pretrained_stage(settings: PretrainingSettings, pieces: StageRecord) -> Stage:
    """The model itself."""
    section = section_content(settings)
    section.pop("corpus")
    section.pop("checkpoint_seconds")
    inputs = {"pieces": pieces.digest}
    return Stage("pretrained", "pretraining.run", inputs, section, ("torch", "transformers"))


def pretrain_model(
    settings: PretrainingSettings,
    pieces: StageRecord,
    store: Store,
    minutes: float | None = None,
    on_progress: OnProgress = silent,
) -> StageRecord:
    """Pretrains, going on from the last checkpoint; writes `model/` in fp16 with a card.

    Checkpoints lie outside the stage's own work folder, by the settings without `total_tokens`, so
    that raising it lengthens the run instead of beginning another.

    Raises:
        Unfinished: `minutes` were over first; run again to go on.
        TuningError: the loss is not a number.
    """
    stage = pretrained_stage(settings, pieces)
    lengthened = {**stage.section, "total_tokens": None}
    kin = Stage(stage.name, stage.module, stage.inputs, lengthened, stage.libraries)
    checkpoints = store.root / "pretraining" / kin.key

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.model import write_model
        from mirror.pretraining.run import PretrainingStep, Sitting, pretrain

        def told(step: PretrainingStep) -> None:
            text = (
                f"masked {step.masked_loss:.3f}, sentence {step.sentence_loss:.3f}, "
                f"word {step.word_loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"
            )
            on_progress(Progress("pretraining", step.tokens, step.total_tokens, "tokens", text))

        result = pretrain(settings, Sitting(pieces.path, checkpoints, minutes), told)
        if result is None:
            raise Unfinished(
                f"the sitting of {minutes} minutes is over: a checkpoint is in {checkpoints}; "
                "the same command goes on from it"
            )
        return write_model(settings, pieces, result, out)

    return store.make(stage, write)


def read_texts(settings: PretrainingSettings, on_progress: OnProgress = silent) -> Iterator[str]:
    """The corpus's paragraphs, without the sources that are left out.

    Raises:
        CorpusError: a file has no `text` column.
    """
    done = 0
    for name in settings.corpus:
        file = pq.ParquetFile(CHECKOUT / name)
        columns = [column for column in ("text", "source") if column in file.schema_arrow.names]
        if "text" not in columns:
            raise CorpusError(
                f"{CHECKOUT / name} has no column `text`; it has {file.schema_arrow.names}"
            )
        for batch in file.iter_batches(columns=columns, batch_size=5_000):
            for row in batch.to_pylist():
                source = row.get("source") or ""
                if row["text"] and not any(part in source for part in settings.leave_out):
                    yield row["text"]
            done += batch.num_rows
            on_progress(Progress("pieces", done, None, "paragraphs"))
