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
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import torch
from torch.optim import AdamW

from mirror.contrastive import info_nce, mean_cosine
from mirror.disk_faults import disk_faults
from mirror.encoder import Encoder
from mirror.errors import SampleError, TokenizerError, TuningError
from mirror.masking import Masking, masked_text
from mirror.pairs import batch_count, epoch_batches
from mirror.precision import cpu_has_bf16
from mirror.threads import thread_count
from mirror.tuning_checkpoint import restore_checkpoint, save_checkpoint
from mirror.tuning_settings import TuningSection
from mirror.tuning_step import OnStep, TuningStep, ignore
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


@dataclass(frozen=True)
class Batch:
    """One step's strings, as token ids."""

    plain: list[list[int]]
    masked: list[list[int]]
    names: torch.Tensor
    """(strings,), equal where the plain ids are equal."""


def read_strings(path: Path) -> list[str]:
    """The sample's strings, in its order."""
    strings: list[str] = pq.read_table(path, columns=["text"])["text"].to_pylist()
    return strings


def tune(
    settings: TuningSection, strings: Sequence[str], place: Place, on_step: OnStep = ignore
) -> Mapping[str, Any]:
    """Tunes a base on strings and writes the encoder and the log of steps.

    Returns:
        Counts, for the stage's record.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be loaded.
        TokenizerError: masks are asked for and the tokenizer has none.
        TuningError: the loss is not a number, or the vectors have collapsed.
    """
    if (different := len(set(strings))) < settings.batch_size:
        raise SampleError(
            f"the sample holds {different} different strings and a batch takes "
            f"{settings.batch_size}: give it more text, or lower tuning.batch_size"
        )
    torch.set_num_threads(thread_count())
    run = Run(settings, strings, place)
    with disk_faults():  # by then nothing is read any more
        run.go(on_step)
        run.whiten()
        run.encoder.save(place.out / "encoder")
    return run.write_steps()


class Run:
    """One tuning run, from its last checkpoint to its end."""

    def __init__(self, settings: TuningSection, strings: Sequence[str], place: Place) -> None:
        self.settings = settings
        self.strings = strings
        self.place = place
        self.encoder = Encoder.load(
            place.base, settings.pooling, settings.max_tokens, dropout=settings.dropout
        )
        self.masking = _masking(settings, self.encoder, place.base)
        self.bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and _has_bf16(self.encoder.device)
        )
        if self.encoder.device.type == "cuda":
            _make_cuda_repeatable()
        self.optimizer = AdamW(
            self.encoder.model.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.advance = restore_checkpoint(place.work, self.encoder.model, self.optimizer)
        self.epoch_steps = batch_count(len(strings), settings.batch_size)
        self.total = self.epoch_steps * settings.epochs

    def go(self, on_step: OnStep) -> None:
        """Takes the steps that are left."""
        self.encoder.model.train()
        began = saved = time.monotonic()
        done = 0
        for epoch in range(self.advance.step // self.epoch_steps, self.settings.epochs):
            batches = epoch_batches(
                len(self.strings), self.settings.batch_size, self.settings.seed, epoch
            )
            for indices in islice(batches, self.advance.step % self.epoch_steps, None):
                self.take_step(self.batch(indices, epoch))
                done += 1
                now = time.monotonic()
                on_step(self.report((now - began) / done))
                if now - saved >= self.settings.checkpoint_seconds:
                    save_checkpoint(
                        self.place.work, self.encoder.model, self.optimizer, self.advance
                    )
                    saved = time.monotonic()

    def whiten(self) -> None:
        """Fits the last layer to the sample, or takes away one that the base came with."""
        encoder, power = self.encoder, self.settings.whitening
        encoder.projection = None
        if power:
            encoder.projection = fit_whitening(encoder.encode(self.strings), power)

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Both views of the strings at `indices`."""
        texts = [self.strings[index] for index in indices]
        views = [masked_text(self.strings[index], index, epoch, self.masking) for index in indices]
        plain, masked = self.encoder.token_ids(texts), self.encoder.token_ids(views)
        first: dict[tuple[int, ...], int] = {}
        names = [first.setdefault(tuple(row), number) for number, row in enumerate(plain)]
        return Batch(plain, masked, torch.tensor(names))

    def take_step(self, batch: Batch) -> None:
        """One forward pass in slices, one loss, one backward pass, one step of AdamW."""
        step = self.advance.step
        torch.manual_seed(_step_seed(self.settings.seed, step))
        rate = self.rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with self.autocast():
            vectors = self.encoder.vectors(
                [*batch.plain, *batch.masked], self.settings.slice_tokens
            )
        first, second = vectors.split(len(batch.plain))
        loss = info_nce(first, second, self.settings.temperature, batch.names)
        self.check(step, loss.item(), first)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        mask = self.encoder.tokenizer.mask_token_id
        self.advance.step = step + 1
        self.advance.losses.append(loss.item())
        self.advance.rates.append(rate)
        self.advance.masked += sum(mask in row for row in batch.masked)

    def autocast(self) -> AbstractContextManager[Any]:
        """bf16 for the encoder where the run uses it; weights and sums stay fp32."""
        return torch.autocast(self.encoder.device.type, torch.bfloat16, enabled=self.bf16)

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0: constant after the warm-up."""
        warm = math.ceil(self.settings.warmup_share * self.total)
        return self.settings.learning_rate * min(1.0, (step + 1) / max(1, warm))

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
            "strings": len(self.strings),
            "first_loss": advance.losses[0],
            "final_loss": advance.losses[-1],
            "masked_share": advance.masked / (advance.step * self.settings.batch_size),
            "precision": "bf16" if self.bf16 else "fp32",
            "device": self.encoder.device.type,
            "threads": torch.get_num_threads(),
        }


def _masking(settings: TuningSection, encoder: Encoder, base: Path) -> Masking:
    token = encoder.tokenizer.mask_token
    if settings.mask_length and token is None:
        raise TokenizerError(
            f"the tokenizer in {base} has no mask token: choose a masked language model, or set "
            "tuning.mask_length to 0"
        )
    return Masking(settings.mask_length, settings.mask_min_characters, str(token), settings.seed)


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_has_bf16()


def _make_cuda_repeatable() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(sha256(f"dropout {seed} {step}".encode()).digest()[:8], "little") >> 1
