"""The tuning stage: light, so that finding it made costs no import of torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.base_model import Base, check_base
from mirror.progress import OnProgress, Progress, silent
from mirror.recipe import Recipe
from mirror.store import Stage, StageRecord, Store, section_content
from mirror.tuning_step import OnStep, TuningStep, ignore

LIBRARIES = ("numpy", "safetensors", "tokenizers", "torch", "transformers")
WITHOUT_EFFECT = ("checkpoint_seconds",)
"""Settings that do not change what comes out."""


def tuning_stage(recipe: Recipe, sample: StageRecord, base: Base) -> Stage:
    """The stage that tunes the base on the sample.

    Same key, same bytes holds on one kind of processor with one number of threads: another rounds
    otherwise, which is no reason to tune again.
    """
    section = section_content(recipe.tuning)
    return Stage(
        name="tune",
        module="tuning_stage",
        inputs={"sample": sample.digest, "base": base.digest},
        section={key: value for key, value in section.items() if key not in WITHOUT_EFFECT},
        libraries=LIBRARIES,
    )


def tune_encoder(
    recipe: Recipe,
    sample: StageRecord,
    base: Base,
    store: Store,
    on_progress: OnProgress = silent,
    on_step: OnStep = ignore,
) -> StageRecord:
    """Tunes the base on the sample, or finds it done; a killed run goes on where it was.

    The folder holds `encoder/`, for SentenceTransformer, and `steps.jsonl`.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be tuned.
        TokenizerError: its tokenizer cannot be used.
        TuningError: the loss is not a number, or the vectors have collapsed.
        StoreError: the folder cannot be written.
    """

    def tell(step: TuningStep) -> None:
        on_step(step)
        text = (
            f"loss {step.loss:.3f}, {step.strings_per_second:.0f} strings/s, "
            f"{step.seconds_left:.0f} s left"
        )
        on_progress(Progress("tune", step.step, step.total, "steps", text))

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        check_base(Path(base.folder), masks=recipe.tuning.mask_length > 0)
        from mirror.tuning import Place, read_strings, tune

        strings = read_strings(sample.path / "strings.parquet")
        return tune(recipe.tuning, strings, Place(Path(base.folder), out, work), tell)

    return store.make(tuning_stage(recipe, sample, base), write)
