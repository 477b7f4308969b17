"""The two stages that make a base model: the corpus as word pieces, and the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.base_model import check_base
from mirror.errors import CorpusError
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.store import Stage, StageRecord, Store, file_digest, folder_digest, section_content

if TYPE_CHECKING:
    from mirror.pretraining.trainer import PretrainingStep

PIECES_FIELDS = {"shape", "exclude_sources", "base", "seed", "dropout", "language"}
LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")


class PretrainingPaused(Exception):
    """A sitting ended before its run did; not a fault."""


def pieces_stage(settings: PretrainingSettings) -> Stage:
    """Tokenizer, starting weights and the corpus as word pieces.

    Raises:
        CorpusError: a corpus file or the base is missing.
        BaseModelError: the base's configuration or weights are damaged or unfit.
        TokenizerError: its tokenizer is damaged or unfit, or has no mask token.
    """
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
    return Stage("pieces", "pretraining.pieces", inputs, section, libraries)


def prepare_pieces(
    settings: PretrainingSettings, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Trains the vocabulary (or takes the base's), encodes the corpus, makes the first weights."""

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.pieces import write_pieces

        return write_pieces(settings, out, on_progress)

    return store.make(pieces_stage(settings), write)


def pretrained_stage(settings: PretrainingSettings, pieces: StageRecord) -> Stage:
    """The model itself."""
    section = section_content(settings)
    section.pop("corpus")
    section.pop("checkpoint_seconds")
    inputs = {"pieces": pieces.digest}
    return Stage("pretrained", "pretraining.model", inputs, section, LIBRARIES)


def checkpoint_kin(stage: Stage) -> Stage:
    """What all runs that may go on from one another's checkpoints have in common.

    Their length is no part of it, nor is the code that writes the finished model.
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
    """Pretrains from the last checkpoint; writes `model/`, in fp16, with `pretraining.json`.

    Checkpoints lie outside the stage's own work folder, by `checkpoint_kin`, so that raising
    `total_tokens` lengthens the run instead of beginning another.

    Raises:
        Unfinished: `minutes` were over first; run again to go on.
        TuningError: the loss is not a number, or every checkpoint is damaged.
        StoreError: the folder or a checkpoint cannot be written.
    """
    stage = pretrained_stage(settings, pieces)
    checkpoints = store.root / "pretraining" / checkpoint_kin(stage).key

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        from mirror.pretraining.model import write_model
        from mirror.pretraining.trainer import TrainingSession, pretrain

        sitting = TrainingSession(pieces.path, checkpoints, minutes)
        result = pretrain(settings, sitting, lambda step: on_progress(_sign_of(step)))
        if result is None:
            raise PretrainingPaused(
                f"the sitting of {minutes} minutes is over: a checkpoint is in {checkpoints}; "
                "the same command goes on from it"
            )
        return write_model(settings, pieces, result, out)

    return store.make(stage, write)


def _word_vector_libraries(settings: PretrainingSettings) -> tuple[str, ...]:
    wanted = settings.base is None and settings.shape.word_vector_epochs > 0
    return ("gensim",) if wanted and find_spec("gensim") else ()


def _sign_of(step: PretrainingStep) -> ProgressEvent:
    text = (
        f"masked {step.masked_loss:.3f}, sentence {step.sentence_loss:.3f}, "
        f"word {step.word_loss:.3f}, {step.tokens_per_second:,.0f} tokens/s"
    )
    return ProgressEvent("pretraining", step.tokens, step.total_tokens, "tokens", text)
