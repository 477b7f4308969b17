"""One pass of tuning over a sample, from its last checkpoint to its end.

Batches, masks and dropout follow from the seed and the step's number, so that a run that was
killed and taken up again ends with the same weights to the bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from functools import cached_property
from hashlib import sha256
from itertools import islice
from pathlib import Path

import torch
from torch import nn
from torch.optim import AdamW

from mirror.encoders.encoder import Encoder
from mirror.encoders.parallel import SINGLE_THREAD, WorkerThreads, lane_count, worker_threads
from mirror.encoders.sif_weights import inverse_frequencies
from mirror.encoders.whitening import fit_whitening
from mirror.errors import StoppedError, TuningError
from mirror.hardware import cpu_has_bf16
from mirror.shutdown import stop_asked
from mirror.tuning.batch_sampler import batch_count, epoch_batches
from mirror.tuning.checkpoint import BestWeights, restore_checkpoint, save_checkpoint
from mirror.tuning.checkpoint_selection import alignment_and_uniformity, best_step, hold_out
from mirror.tuning.distillation import Teacher
from mirror.tuning.drophead import attach_drophead
from mirror.tuning.losses import mean_cosine
from mirror.tuning.objective import Objective
from mirror.tuning.process_group import current_process_group
from mirror.tuning.step import OnStep, TuningStep
from mirror.tuning.train_step import TrainStep
from mirror.tuning.views import Batch, TextPair, Views
from mirror.tuning_config import TuningSection

WARM_STEPS = 25
COLLAPSED = 0.999
"""Mean cosine of a batch's vectors above which they say nothing about their texts; some raw
models come close to it, so the first steps are let pass."""


@dataclass(frozen=True)
class TrainingPaths:
    """The folders of a run."""

    base: Path
    out: Path
    """Gets `encoder/` and `steps.jsonl`."""
    work: Path
    """Keeps checkpoints."""


class Trainer:
    """One pass, from its last checkpoint to its end."""

    def __init__(
        self,
        settings: TuningSection,
        items: Sequence[TextPair],
        place: TrainingPaths,
        teacher: Teacher | None = None,
    ) -> None:
        self.settings = settings
        self.teacher = teacher
        self.items, self.held_out = items_of(settings, items)
        self.place = place
        self.encoder = _load_encoder(settings, place.base, self.items)
        self.views = Views(settings, self.items, self.encoder, place.base)
        self.bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and _has_bf16(self.encoder.device)
        )
        if self.encoder.device.type == "cuda":
            _make_cuda_repeatable()
        torch.manual_seed(_step_seed(settings.seed, -1))
        objective = Objective(settings, self.encoder.width).to(self.encoder.device)
        self.ranks = current_process_group()
        self.passing = TrainStep(settings, self.encoder, objective, self.bf16, self.ranks)
        self.trained = nn.ModuleDict({"model": self.encoder.model, "objective": objective})
        self.optimizer = AdamW(
            self.trained.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.kept = BestWeights()
        self.advance = restore_checkpoint(place.work, self.trained, self.optimizer, self.kept)
        self.ranks.wait()  # until all have read it, for the first then writes newer ones
        self.epoch_steps = batch_count(len(self.items), settings.batch_size)
        self.total = self.epoch_steps * settings.epochs

    def go(self, on_step: OnStep) -> None:
        """Takes the steps that are left."""
        with worker_threads(lane_count(self.encoder.device)) as lanes:
            self._go(on_step, lanes)

    def _go(self, on_step: OnStep, lanes: WorkerThreads) -> None:
        self.encoder.model.train()
        began = saved = time.monotonic()
        done = 0
        for epoch in range(self.advance.step // self.epoch_steps, self.settings.epochs):
            for indices in islice(self.batches(epoch), self.advance.step % self.epoch_steps, None):
                self.take_step(self.batch(indices, epoch), lanes)
                if self.is_measured(self.advance.step):
                    self.measure(lanes)
                done += 1
                now = time.monotonic()
                on_step(self.report((now - began) / done))
                stop = self.ranks.any(stop_asked()) and self.advance.step < self.total
                if stop or now - saved >= self.settings.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if stop:
                    raise StoppedError(
                        f"tuning was stopped after step {self.advance.step} of {self.total}: run "
                        "again to go on from there"
                    )

    def batch(self, indices: Sequence[int], epoch: int) -> Batch:
        """Both views of the items at `indices`, and what the teacher makes of them."""
        batch = self.views.batch(indices, epoch)
        return replace(batch, taught=self.teacher.of(indices)) if self.teacher else batch

    def save(self) -> None:
        """Writes a checkpoint, on one rank for all."""
        if not self.ranks.is_first:
            return
        save_checkpoint(self.place.work, self.trained, self.optimizer, self.advance, self.kept)

    def batches(self, epoch: int) -> Iterator[Sequence[int]]:
        """Indices of the items of each batch of an epoch."""
        lengths = None
        if self.settings.batch_sampler == "length-bucketed":
            lengths = [len(item.first) for item in self.items]
        return epoch_batches(
            len(self.items), self.settings.batch_size, self.settings.seed, epoch, lengths
        )

    def is_measured(self, step: int) -> bool:
        """Whether a step, counted from 1, is measured on what is held out."""
        due = step % self.settings.stopping_steps == 0 or step == self.total
        return due and bool(self.held_out)

    @cached_property
    def measured_batch(self) -> Batch:
        """Views of what is held out, the same for all steps."""
        views = Views(self.settings, self.held_out, self.encoder, self.place.base)
        return views.batch(range(len(self.held_out)), epoch=0)

    def measure(self, lanes: WorkerThreads = SINGLE_THREAD) -> None:
        """Measures the step just done, and keeps its weights if none before was better."""
        seed = _step_seed(self.settings.seed, -2)
        found = self.passing.vectors(self.measured_batch, seed, lanes)
        near, even = alignment_and_uniformity(*found)
        advance = self.advance
        advance.measures.append({"step": advance.step, "alignment": near, "uniformity": even})
        if best_step(advance.measures) == advance.step:
            self.kept = {
                name: weight.detach().cpu().clone(memory_format=torch.contiguous_format)
                for name, weight in self.encoder.model.named_parameters()
            }

    @torch.no_grad()
    def keep_best(self) -> None:
        """Puts the best measured step's weights in place of the last's, if any were measured."""
        for name, weight in self.encoder.model.named_parameters() if self.kept else ():
            weight.copy_(self.kept[name])

    def teach(self) -> Teacher:
        """What the tuned model, before any last layer, makes of the items."""
        self.keep_best()
        texts = list(dict.fromkeys(text for item in self.items for text in astuple(item)))
        vectors = torch.from_numpy(self.encoder.encode(texts))
        rows = {text: row for row, text in enumerate(texts)}
        first, second = (
            vectors[torch.tensor([rows[getattr(item, side)] for item in self.items])]
            for side in ("first", "second")
        )
        return Teacher(first, second, self.advance)

    def finish(self) -> None:
        """Makes of the tuned model what is saved: its length, and a last layer if one is asked for.

        One that the base came with is taken away; another is fitted to the items' first texts.
        """
        encoder, settings = self.encoder, self.settings
        self.keep_best()
        encoder.settings = replace(
            encoder.settings,
            max_tokens=encoder.longest(settings.encoder_tokens),
        )
        encoder.projection = None
        if settings.whitening or settings.center:
            texts = [item.first for item in self.items]
            encoder.projection = fit_whitening(encoder.encode(texts), settings.whitening)

    def take_step(self, batch: Batch, lanes: WorkerThreads = SINGLE_THREAD) -> None:
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
        warm = math.ceil(self.settings.warmup_ratio * self.total)
        share = min(1.0, (step + 1) / max(1, warm))
        if self.settings.lr_scheduler == "linear" and step >= warm:
            share = (self.total - step) / (self.total - warm)
        return self.settings.learning_rate * share

    def check(self, step: int, loss: float, vectors: torch.Tensor) -> None:
        """Stops a run that has gone wrong.

        Raises:
            TuningError: the loss is not a number, or the vectors have collapsed.
        """
        remedy = "lower tuning.learning_rate, or raise tuning.warmup_ratio"
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
        total = self.total * self.settings.passes
        step = self.earlier_steps + advance.step
        return TuningStep(
            step=step,
            total=total,
            loss=advance.losses[-1],
            learning_rate=advance.rates[-1],
            strings_per_second=self.settings.batch_size / step_seconds,
            seconds_left=(total - step) * step_seconds,
        )

    @property
    def earlier_steps(self) -> int:
        """Those of the pass that made the teacher."""
        return self.teacher.advance.step if self.teacher else 0


def items_of(
    settings: TuningSection, items: Sequence[TextPair]
) -> tuple[Sequence[TextPair], Sequence[TextPair]]:
    """The items that are tuned on, and those that are measured on."""
    return (items, ()) if settings.stopping == "none" else hold_out(items, settings.seed)


def _load_encoder(settings: TuningSection, base: Path, items: Sequence[TextPair]) -> Encoder:
    encoder = Encoder.load(
        base,
        settings.pooling,
        settings.max_tokens,
        dropout=settings.dropout_rate,
        prompt=settings.prompt,
        lowercase=settings.lowercase,
    )
    if settings.drophead_rate:
        attach_drophead(encoder.model, settings.drophead_rate)
    encoder.token_weights = None
    if settings.weighting == "inverse-frequency":
        rows = encoder.token_ids([item.first for item in items])
        vocabulary = int(encoder.model.config.vocab_size)
        encoder.token_weights = inverse_frequencies(rows, vocabulary)
    return encoder


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_has_bf16()


def _make_cuda_repeatable() -> None:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(sha256(f"dropout {seed} {step}".encode()).digest()[:8], "little") >> 1
