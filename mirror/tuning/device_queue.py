"""Tuning when it is its turn: with a place on the device, whoever else tunes there."""

from __future__ import annotations

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StoppedError
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import Recipe
from mirror.shutdown import stop_asked
from mirror.store import StageRecord, Store
from mirror.tuning.device_lock import device_slot
from mirror.tuning.stage import tune_encoder, tuning_stage


def tune_with_device_lock(
    recipe: Recipe,
    sample: StageRecord,
    base: EncoderRef,
    store: Store,
    on_progress: OnProgress = no_progress,
    *,
    pairs: StageRecord | None = None,
) -> StageRecord:
    """As `mirror.tuning.stage.tune_encoder`; waits for its place if there is anything to make.

    Raises:
        MirrorError: as `tune_encoder` and `device_slot`.
        StoppedError: it was asked to stop while it waited.
    """
    if store.find(tuning_stage(recipe, sample, base, pairs)):
        return tune_encoder(recipe, sample, base, store, on_progress, pairs=pairs)
    from mirror.encoders.device import device_name

    device = device_name()

    def wait(seconds: float) -> None:
        if stop_asked():
            raise StoppedError(f"stopped while waiting for a place on {device}: run again")
        text = f"waiting for a place on {device}, for {seconds:,.0f} s"
        on_progress(ProgressEvent("tune", 0, None, "steps", text))

    with device_slot(device, wait):
        return tune_encoder(recipe, sample, base, store, on_progress, pairs=pairs)
