"""Tuning stage: its key, and tuning in this process.

torch is imported only for tuning, not to look up a finished stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.base_settings import check_base_for, settle_recipe
from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.datasets import benchmark_inputs, scoring_libraries
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
from mirror.store import Stage, StageRecord, Store, section_content
from mirror.tuning.guard import Guard
from mirror.tuning.training_log import TuningStep

if TYPE_CHECKING:
    from mirror.tuning.items import ItemFiles

LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")
NOT_IN_KEY = ("checkpoint_seconds", "timeout_minutes")
"""Settings that do not change the encoder."""


def tuning_stage(
    recipe: Recipe, sample: StageRecord, base: EncoderRef, pairs: StageRecord | None = None
) -> Stage:
    """Return the stage that tunes the base on the sample, and on labelled pairs if there are any.

    The same key gives the same bytes on one kind of processor.  Another kind rounds differently,
    which is no reason to tune again.
    """
    section = section_content(recipe.tuning)
    inputs = {"sample": sample.digest, "base": base.digest}
    if pairs is not None and recipe.pairs is not None:
        inputs["pairs"] = pairs.digest
        section["with_strings"] = recipe.pairs.with_strings
    libraries: tuple[str, ...] = LIBRARIES
    if guard := _guard(recipe):
        benchmark = benchmark_inputs([guard.benchmark])
        inputs |= benchmark
        section["guard_tolerance"] = guard.tolerance
        libraries = tuple(sorted({*LIBRARIES, *scoring_libraries(benchmark)}))
    return Stage(
        name="tune",
        module="tuning.stage",
        inputs=inputs,
        section={key: value for key, value in section.items() if key not in NOT_IN_KEY},
        libraries=libraries,
    )


def tune_in_process(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    store: Store,
    on_progress: OnProgress = no_progress,
    *,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """Tune the base on the sample in this process, for `mirror.tuning.worker` and for tests.

    A killed run is resumed, a finished one reused.  Labelled `pairs` are used in addition to the
    sample's strings, or instead of them (`pairs.with_strings`).
    The stage's folder has `encoder/`, `steps.jsonl`, and with validation `validation.json`.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be tuned.
        RecipeError: the base takes fewer tokens of a text than the recipe says.
        TokenizerError: the base's tokenizer cannot be used.
        TuningError: the loss is not finite, or the vectors have collapsed.
        StoreError: the folder cannot be written.
    """
    recipe = settle_recipe(recipe, Path(base.folder))
    files, guard = _item_files(recipe, sample, pairs), _guard(recipe)

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        check_base_for(recipe, Path(base.folder))
        from mirror.tuning.items import read_items
        from mirror.tuning.trainer import TrainingPaths, tune

        items, paths = read_items(files), TrainingPaths(Path(base.folder), out, work)
        return tune(
            recipe.tuning, items, paths, lambda step: on_progress(_progress_event(step)), guard
        )

    return store.make(tuning_stage(recipe, sample, base, pairs), write)


def _item_files(recipe: Recipe, sample: StageRecord, pairs: StageRecord | None) -> ItemFiles:
    """Return the files of strings, titles and labelled pairs that the recipe tunes on."""
    from mirror.tuning.items import ItemFiles

    with_sample = pairs is None or recipe.pairs is None or recipe.pairs.with_strings
    titles = sample.path / "titles.parquet" if recipe.tuning.uses_documents else None
    return ItemFiles(
        sample.path / "strings.parquet" if with_sample else None,
        titles if with_sample else None,
        pairs.path / "pairs.parquet" if pairs is not None and recipe.pairs is not None else None,
    )


def _guard(recipe: Recipe) -> Guard | None:
    """Return the recipe's guard if there are validation documents, else None."""
    evaluation = recipe.evaluation
    if evaluation.guard is None or not recipe.tuning.validation_documents:
        return None
    return Guard(evaluation.guard, evaluation.guard_tolerance)


def _progress_event(step: TuningStep) -> ProgressEvent:
    text = (
        f"loss {step.loss:.3f}, {step.strings_per_second:.0f} strings/s, "
        f"{step.seconds_left:.0f} s left"
    )
    return ProgressEvent("tune", step.step, step.total, "steps", text)
