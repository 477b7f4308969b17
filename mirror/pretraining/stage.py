"""Stages of pretraining: the starting model with the tokenized corpus, and the pretrained model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.base_model import check_base
from mirror.errors import CorpusError
from mirror.hashing import file_digest, folder_digest
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.store import Stage, StageRecord, Store, section_content

if TYPE_CHECKING:
    from mirror.pretraining.trainer import PretrainingStep

PIECES_FIELDS = {"shape", "exclude_sources", "base", "seed", "dropout", "language"}
LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


class PretrainingPaused(Exception):
    """The time limit ended a session before the end of the run; not an error."""


def pieces_stage(settings: PretrainingSettings) -> Stage:
    """Return the stage of tokenizer, starting weights and tokenized corpus."""
    inputs = {}
    if settings.base is not None:
        base = local_path(settings.base, Path.is_dir)
        if not base.is_dir():
            raise CorpusError(f"no base model at {base}: correct `base`")
        check_base(base)
        inputs["base"] = folder_digest(base)
    for number, name in enumerate(settings.corpus):
        path = local_path(name, Path.is_file)
        if not path.is_file():
            raise CorpusError(f"no corpus at {path}: correct `corpus`, or pass --corpus PATH")
        inputs[f"corpus {number}"] = file_digest(path)
    section = settings.model_dump(mode="json", include=PIECES_FIELDS)
    libraries = (*LIBRARIES, "pyarrow", *_word_vector_libraries(settings))
    return Stage("pieces", "pretraining.model", inputs, section, libraries)


def prepare_pieces(
    settings: PretrainingSettings, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Train the vocabulary or take the base's, encode the corpus and write the first weights."""

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.model import write_pieces

        return write_pieces(settings, out, on_progress)

    return store.make(pieces_stage(settings), write)


def pretrained_stage(settings: PretrainingSettings, pieces: StageRecord) -> Stage:
    """Return the stage of the pretrained model."""
    section = section_content(settings)
    section.pop("corpus")
    section.pop("checkpoint_seconds")
    inputs = {"pieces": pieces.digest}
    return Stage("pretrained", "pretraining.export", inputs, section, LIBRARIES)


def checkpoint_stage(stage: Stage) -> Stage:
    """Return the stage whose key names the folder of checkpoints.

    Runs that differ only in length or in the code that writes the finished model share it.
    """
    section = {**stage.section, "total_tokens": None}
    return replace(stage, module="pretraining.trainer", section=section)


def pretrain_model(
    settings: PretrainingSettings,
    pieces: StageRecord,
    store: Store,
    minutes: float | None = None,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Pretrain from the last checkpoint; write `model/` in fp16 with `pretraining.json`.

    Checkpoints lie outside the stage's work folder, in that of `checkpoint_stage`, so that raising
    `total_tokens` lengthens the run.

    Raises:
        PretrainingPaused: `minutes` were over first; run again to continue.
        TuningError: the loss is not a number, or every checkpoint is damaged.
        StoreError: the folder or a checkpoint cannot be written.
    """
    stage = pretrained_stage(settings, pieces)
    checkpoints = store.root / "pretraining" / checkpoint_stage(stage).key

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.export import write_model
        from mirror.pretraining.trainer import TrainingSession, pretrain

        session = TrainingSession(pieces.path, checkpoints, minutes)
        result = pretrain(settings, session, lambda step: on_progress(_progress_event(step)))
        if result is None:
            raise PretrainingPaused(
                f"the {minutes:g} minutes are over: a checkpoint is in {checkpoints}; "
                "the same command continues from it"
            )
        return write_model(settings, pieces, result, out)

    return store.make(stage, write)


def _word_vector_libraries(settings: PretrainingSettings) -> tuple[str, ...]:
    uses_gensim = settings.base is None and settings.shape.word_vector_epochs > 0
    return ("gensim",) if uses_gensim and find_spec("gensim") else ()


def _progress_event(step: PretrainingStep) -> ProgressEvent:
    text = (
        f"masked {step.masked_loss:.3f}, sentence {step.sentence_loss:.3f}, "
        f"word {step.word_loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"
    )
    done = min(step.tokens, step.total_tokens)  # the last step may exceed it
    return ProgressEvent("pretraining", done, step.total_tokens, "tokens", text)
