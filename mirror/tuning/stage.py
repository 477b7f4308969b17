"""The tuning stage: light, so that finding it made costs no import of torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import check_base_for
from mirror.encoders.encoder_ref import EncoderRef
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
from mirror.store import Stage, StageRecord, Store, section_content
from mirror.tuning.step import OnStep, TuningStep, ignore

LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")
WITHOUT_EFFECT = ("checkpoint_seconds", "timeout_minutes")
"""Settings that do not change what comes out."""


def tuning_stage(
    recipe: Recipe, sample: StageRecord, base: EncoderRef, pairs: StageRecord | None = None
) -> Stage:
    """The stage that tunes the base on the sample, and on labelled pairs if there are any.

    Same key, same bytes holds on one kind of processor: another rounds otherwise, which is no
    reason to tune again.
    """
    section = section_content(recipe.tuning)
    inputs = {"sample": sample.digest, "base": base.digest}
    if pairs is not None and recipe.pairs is not None:
        inputs["pairs"] = pairs.digest
        section["with_strings"] = recipe.pairs.with_strings
    return Stage(
        name="tune",
        module="tuning.stage",
        inputs=inputs,
        section={key: value for key, value in section.items() if key not in WITHOUT_EFFECT},
        libraries=LIBRARIES,
    )


def tune_encoder(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    store: Store,
    on_progress: OnProgress = no_progress,
    on_step: OnStep = ignore,
    *,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """Tunes the base on the sample, or finds it done; a killed run goes on where it was.

    Labelled `pairs` are tuned on beside the sample's strings, or in their place if the recipe says
    so (`pairs.with_strings`).

    The folder holds `encoder/`, for SentenceTransformer, and `steps.jsonl`.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be tuned.
        RecipeError: it takes fewer tokens of a text than the recipe says.
        TokenizerError: its tokenizer cannot be used.
        TuningError: the loss is not a number, or the vectors have collapsed.
        StoreError: the folder cannot be written.
    """

    def tell(step: TuningStep) -> None:
        on_step(step)
        on_progress(_sign_of(step))

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        check_base_for(recipe, Path(base.folder))
        from mirror.tuning.trainer import TrainingPaths
        from mirror.tuning.tune import read_items, tune

        items = read_items(*_item_files(recipe, sample, pairs))
        return tune(recipe.tuning, items, TrainingPaths(Path(base.folder), out, work), tell)

    return store.make(tuning_stage(recipe, sample, base, pairs), write)


def _item_files(
    recipe: Recipe, sample: StageRecord, pairs: StageRecord | None
) -> tuple[Path | None, Path | None]:
    """Where strings and labelled pairs are, as far as the recipe wants them."""
    strings = sample.path / "strings.parquet"
    if pairs is None or recipe.pairs is None:
        return strings, None
    return strings if recipe.pairs.with_strings else None, pairs.path / "pairs.parquet"


def _sign_of(step: TuningStep) -> ProgressEvent:
    text = (
        f"loss {step.loss:.3f}, {step.strings_per_second:.0f} strings/s, "
        f"{step.seconds_left:.0f} s left"
    )
    return ProgressEvent("tune", step.step, step.total, "steps", text)
