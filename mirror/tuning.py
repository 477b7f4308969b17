"""Mirror tuning: a string beside itself, one side masked, dropout in both, all others apart.

Batches, masks and dropout follow from the seed and the step's number, so that a run that was
killed and taken up again ends with the same weights to the bit.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch import nn
from torch.optim import AdamW

from mirror.batches import batch_count, epoch_batches
from mirror.contrastive import mean_cosine
from mirror.disk_faults import disk_faults
from mirror.drophead import attach_drophead
from mirror.encoder import Encoder
from mirror.errors import SampleError, TuningError
from mirror.lanes import ONE_LANE, Lanes, lane_count, open_lanes
from mirror.precision import cpu_has_bf16
from mirror.threads import thread_count
from mirror.tuning_checkpoint import restore_checkpoint, save_checkpoint
from mirror.tuning_objective import Objective
from mirror.tuning_pass import TuningPass
from mirror.tuning_settings import TuningSection
from mirror.tuning_step import OnStep, TuningStep, ignore
from mirror.views import Batch, Item, Views
from mirror.whitening import fit_whitening

log = logging.getLogger(__name__)

WARM_STEPS = 25
COLLAPSED = 0.999
"""Mean cosine of a batch's vectors above which they say nothing about their texts; some raw
models come close to it, so the first steps are let pass."""


@dataclass(frozen=True)
class Place:
    """The folders of a run."""

    base: Path
    out: Path
    """Gets `encoder/` and `steps.jsonl`."""
    work: Path
    """Keeps checkpoints."""


def read_items(strings: Path | None, pairs: Path | None = None) -> list[Item]:
    """A sample's strings, each paired with itself, in its order, and then labelled pairs."""
    items = []
    if strings is not None:
        texts = pq.read_table(strings, columns=["text"])["text"].to_pylist()
        items = [Item(text, text) for text in texts]
    if pairs is not None:
        table = pq.read_table(pairs, columns=["first", "second"])
        columns = (table[name].to_pylist() for name in table.column_names)
        items.extend(Item(*sides) for sides in zip(*columns, strict=True))
    return items


def tune(
    settings: TuningSection,
    strings: Sequence[str | Item],
    place: Place,
    on_step: OnStep = ignore,
) -> Mapping[str, Any]:
    """Tunes a base on strings and writes the encoder and the log of steps.

    Args:
        settings: a recipe's `[tuning]`.
        strings: each is paired with itself; an `Item` is a pair already.
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
    items = [text if isinstance(text, Item) else Item(text, text) for text in strings]
    if (different := len(set(items))) < settings.batch_size:
        raise SampleError(
            f"the sample holds {different} different strings and a batch takes "
            f"{settings.batch_size}: give it more text, or lower tuning.batch_size"
        )
    torch.set_num_threads(thread_count())
    run = Run(settings, items, place)
    with disk_faults():  # by then nothing is read any more
        run.go(on_step)
        run.finish()
        run.encoder.save(place.out / "encoder")
    return run.write_steps()


class Run:
    """One tuning run, from its last checkpoint to its end."""

    def __init__(self, settings: TuningSection, items: Sequence[Item], place: Place) -> None:
        self.settings = settings
        self.items = items
        self.place = place
        self.encoder = Encoder.load(
            place.base,
            settings.pooling,
            settings.max_tokens,
            dropout=settings.dropout_rate,
            prompt=settings.prompt,
        )
        if settings.drophead_rate:
            attach_drophead(self.encoder.model, settings.drophead_rate)
        self.views = Views(settings, items, self.encoder, place.base)
        self.bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and _has_bf16(self.encoder.device)
        )
        if self.encoder.device.type == "cuda":
            _make_cuda_repeatable()
        torch.manual_seed(_step_seed(settings.seed, -1))
        objective = Objective(settings, self.encoder.width).to(self.encoder.device)
        self.passing = TuningPass(settings, self.encoder, objective, self.bf16)
        self.trained = nn.ModuleDict({"model": self.encoder.model, "objective": objective})
        self.optimizer = AdamW(
            self.trained.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.advance = restore_checkpoint(place.work, self.trained, self.optimizer)
        self.epoch_steps = batch_count(len(items), settings.batch_size)
        self.total = self.epoch_steps * settings.epochs

    def go(self, on_step: OnStep) -> None:
        """Takes the steps that are left."""
        with open_lanes(lane_count(self.encoder.device)) as lanes:
            self._go(on_step, lanes)

    def _go(self, on_step: OnStep, lanes: Lanes) -> None:
        self.encoder.model.train()
        began = saved = time.monotonic()
        done = 0
        for epoch in range(self.advance.step // self.epoch_steps, self.settings.epochs):
            for indices in islice(self.batches(epoch), self.advance.step % self.epoch_steps, None):
                self.take_step(self.views.batch(indices, epoch), lanes)
                done += 1
                now = time.monotonic()
                on_step(self.report((now - began) / done))
                if now - saved >= self.settings.checkpoint_seconds:
                    save_checkpoint(self.place.work, self.trained, self.optimizer, self.advance)
                    saved = time.monotonic()

    def batches(self, epoch: int) -> Iterator[Sequence[int]]:
        """Indices of the items of each batch of an epoch."""
        lengths = None
        if self.settings.batches == "like-length":
            lengths = [len(item.first) for item in self.items]
        return epoch_batches(
            len(self.items), self.settings.batch_size, self.settings.seed, epoch, lengths
        )

    def finish(self) -> None:
        """Makes of the tuned model what is saved: its length, and a last layer if one is asked for.

        One that the base came with is taken away; another is fitted to the items' first texts.
        """
        encoder, settings = self.encoder, self.settings
        encoder.settings = replace(
            encoder.settings,
            max_tokens=encoder.longest(settings.encoder_tokens),
        )
        encoder.projection = None
        if settings.whitening or settings.centring:
            texts = [item.first for item in self.items]
            encoder.projection = fit_whitening(encoder.encode(texts), settings.whitening)

    def take_step(self, batch: Batch, lanes: Lanes = ONE_LANE) -> None:
        """One pass over a batch and one step of AdamW."""
        step = self.advance.step
        rate = self.rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        outcome = self.passing(batch, _step_seed(self.settings.seed, step), lanes)
        loss = outcome.loss.item()
        self.check(step, loss, outcome.first)
        self.optimizer.step()
        self.advance.step = step + 1
        self.advance.losses.append(loss)
        self.advance.rates.append(rate)
        self.advance.masked += batch.masked

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        warm = math.ceil(self.settings.warmup_share * self.total)
        share = min(1.0, (step + 1) / max(1, warm))
        if self.settings.decay == "linear" and step >= warm:
            share = (self.total - step) / (self.total - warm)
        return self.settings.learning_rate * share

    def check(self, step: int, loss: float, vectors: torch.Tensor) -> None:
        """Stops a run that has gone wrong.

        Raises:
            TuningError: the loss is not a number, or the vectors have collapsed.
        """
        remedy = "lower tuning.learning_rate, or raise tuning.warmup_share"
        if not math.isfinite(loss):
            raise TuningError(f"the loss is {loss} at step {step + 1} of {self.total}: {remedy}")
        if step >= WARM_STEPS and (cosine := mean_cosine(vectors)) > COLLAPSED:
            raise TuningError(
                f"the vectors have collapsed at step {step + 1} of {self.total}, loss {loss:.3f}: "
                f"their mean cosine is {cosine:.4f}; {remedy}"
            )

    def report(self, step_seconds: float) -> TuningStep:
        """The step just done, for whoever listens."""
        advance = self.advance
        return TuningStep(
            step=advance.step,
            total=self.total,
            loss=advance.losses[-1],
            rate=advance.rates[-1],
            strings_per_second=self.settings.batch_size / step_seconds,
            seconds_left=(self.total - advance.step) * step_seconds,
        )

    def write_steps(self) -> Mapping[str, Any]:
        """Writes `steps.jsonl`, and sums the run up."""
        advance = self.advance
        with (self.place.out / "steps.jsonl").open("w", encoding="utf-8") as file:
            for step, (loss, rate) in enumerate(zip(advance.losses, advance.rates, strict=True), 1):
                file.write(json.dumps({"step": step, "loss": loss, "rate": rate}) + "\n")
        return {
            "steps": advance.step,
            "strings": len(self.items),
            "first_loss": advance.losses[0],
            "final_loss": advance.losses[-1],
            "masked_share": advance.masked / (advance.step * self.settings.batch_size),
            "precision": "bf16" if self.bf16 else "fp32",
            "device": self.encoder.device.type,
            "threads": torch.get_num_threads(),
        }


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_has_bf16()


def _make_cuda_repeatable() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(sha256(f"dropout {seed} {step}".encode()).digest()[:8], "little") >> 1
