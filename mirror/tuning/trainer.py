"""Trainer of Mirror-BERT: tunes a base on strings, from the last checkpoint to the last step.

Each string is paired with itself; one view is masked, both have dropout, and all other strings of
the batch are negatives (Liu et al. 2021).

Batches, masks and dropout depend only on the seed and the step's number, so that a run that was
killed and resumed ends with the same weights to the bit.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from mirror.encoders.encoder import Encoder
from mirror.encoders.sif_weights import inverse_frequencies
from mirror.encoders.whitening import fit_whitening
from mirror.errors import SampleError, StoppedError, TuningError
from mirror.hardware import cpu_has_bf16, thread_count
from mirror.parallel import SINGLE_THREAD, WorkerThreads, worker_count, worker_threads
from mirror.shutdown import stop_asked
from mirror.store import safetensors_errors_as_os_errors
from mirror.tuning.batch_sampler import batch_count, epoch_batches
from mirror.tuning.checkpoint import restore_checkpoint, save_checkpoint
from mirror.tuning.distributed import tune_distributed
from mirror.tuning.drophead import attach_drophead
from mirror.tuning.items import Item, TextPair
from mirror.tuning.losses import ContrastiveObjective, mean_cosine
from mirror.tuning.process_group import SINGLE_PROCESS, current_process_group
from mirror.tuning.train_step import TrainStep
from mirror.tuning.training_log import OnStep, TuningStep, ignore_step, write_log
from mirror.tuning.views import Batch, Views
from mirror.tuning_config import TuningSection

FIRST_COLLAPSE_CHECK = 25
COLLAPSED = 0.999
"""Mean cosine of a batch's vectors above which they no longer tell texts apart.  Some raw models
come close to it, so the first steps are not checked."""


@dataclass(frozen=True)
class TrainingPaths:
    """The folders of a run."""

    base: Path
    out: Path
    """Folder of `encoder/` and `steps.jsonl`."""
    work: Path
    """Folder of checkpoints."""


def tune(
    settings: TuningSection,
    strings: Sequence[str | Item],
    paths: TrainingPaths,
    on_step: OnStep = ignore_step,
) -> Mapping[str, Any]:
    """Tune a base on strings; write the encoder and the training log.

    Args:
        settings: a recipe's `[tuning]`.
        strings: each is paired with itself; an `Item` is taken as it is.
        paths: the base, and the folders for output and checkpoints.
        on_step: called after each step.

    Returns:
        Counts, for the stage's record.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError: the base cannot be loaded.
        TokenizerError: the recipe masks and the tokenizer has no mask token.
        TuningError, StoppedError: as `Trainer.train`.
    """
    items = [TextPair(text, text) if isinstance(text, str) else text for text in strings]
    if (different := len(set(items))) < settings.batch_size:
        raise SampleError(
            f"the sample holds {different} different strings and a batch takes "
            f"{settings.batch_size}: give it more text, or lower tuning.batch_size"
        )
    if settings.num_processes > 1 and current_process_group() == SINGLE_PROCESS:
        return tune_distributed(settings, items, vars(paths), on_step)
    torch.set_num_threads(thread_count())
    trainer = Trainer(settings, items, paths)
    with safetensors_errors_as_os_errors():  # from here on files are only written
        trainer.train(on_step)
        trainer.finalize()
        if not trainer.process_group.is_first:
            return {}
        trainer.encoder.save(paths.out / "encoder")
    return write_log(trainer, paths.out)


class Trainer:
    """Training loop, from the last checkpoint to the last step."""

    def __init__(
        self, settings: TuningSection, items: Sequence[Item], paths: TrainingPaths
    ) -> None:
        self.settings = settings
        self.items = items
        self.paths = paths
        self.encoder = _load_encoder(settings, paths.base, items)
        self.views = Views(settings, items, self.encoder, paths.base)
        self.bf16 = settings.precision == "bf16" or (
            settings.precision == "auto" and _has_bf16(self.encoder.device)
        )
        if self.encoder.device.type == "cuda":
            _make_cuda_repeatable()
        torch.manual_seed(_step_seed(settings.seed, -1))
        objective = ContrastiveObjective(settings, self.encoder.dimension).to(self.encoder.device)
        self.process_group = current_process_group()
        self.train_step = TrainStep(
            settings, self.encoder, objective, self.bf16, self.process_group
        )
        self.trained = nn.ModuleDict({"model": self.encoder.model, "objective": objective})
        self.optimizer = AdamW(
            self.trained.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.state = restore_checkpoint(paths.work, self.trained, self.optimizer)
        self.process_group.barrier()  # the first process is about to replace what all have read
        self.epoch_steps = batch_count(len(items), settings.batch_size)
        self.total = self.epoch_steps * settings.epochs

    def train(self, on_step: OnStep) -> None:
        """Do the steps that are left.

        Raises:
            StoppedError: a stop was asked for; there is a checkpoint.
            TuningError: the loss is not finite, or the vectors have collapsed.
        """
        self.encoder.model.train()
        started = saved = time.monotonic()
        with worker_threads(worker_count(self.encoder.device)) as threads:
            for done, batch in enumerate(self._remaining_batches(), start=1):
                self.take_step(batch, threads)
                now = time.monotonic()
                on_step(self.last_step((now - started) / done))
                stop = self.process_group.any_rank(stop_asked()) and self.state.step < self.total
                if stop or now - saved >= self.settings.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
                if stop:
                    raise StoppedError(
                        f"tuning was stopped after step {self.state.step} of {self.total}: run "
                        "again to resume from its checkpoint"
                    )

    def batch_indices(self, epoch: int) -> Iterator[Sequence[int]]:
        """Yield the indices of the items of each batch of an epoch."""
        lengths = None
        if self.settings.batch_sampler == "length-bucketed":
            lengths = [sum(map(len, item.texts)) for item in self.items]
        return epoch_batches(
            len(self.items), self.settings.batch_size, self.settings.seed, epoch, lengths
        )

    def take_step(self, batch: Batch, threads: WorkerThreads = SINGLE_THREAD) -> None:
        """Compute a batch's gradients and do one step of AdamW.

        Raises:
            TuningError: the loss is not finite, or the vectors have collapsed.
        """
        step = self.state.step
        rate = self.learning_rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        seed = _step_seed(self.settings.seed, step)
        output = self.train_step.forward_backward(batch, seed, threads)
        loss = output.loss.item()
        self._check_health(step, loss, output.first)
        self.optimizer.step()
        self.state.step = step + 1
        self.state.losses.append(loss)
        self.state.learning_rates.append(rate)
        self.state.masked += batch.masked_count

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        warmup_steps = math.ceil(self.settings.warmup_ratio * self.total)
        factor = min(1.0, (step + 1) / max(1, warmup_steps))
        if self.settings.lr_scheduler == "linear" and step >= warmup_steps:
            factor = (self.total - step) / (self.total - warmup_steps)
        return self.settings.learning_rate * factor

    def last_step(self, step_seconds: float) -> TuningStep:
        """Return the step that was done last; `step_seconds` is the mean time of a step."""
        return TuningStep(
            step=self.state.step,
            total=self.total,
            loss=self.state.losses[-1],
            learning_rate=self.state.learning_rates[-1],
            strings_per_second=self.settings.batch_size / step_seconds,
            seconds_left=(self.total - self.state.step) * step_seconds,
        )

    def save(self) -> None:
        """Write a checkpoint, in the first process only."""
        if self.process_group.is_first:
            save_checkpoint(self.paths.work, self.trained, self.optimizer, self.state)

    def finalize(self) -> None:
        """Set the encoder's length and whitening as the settings say, before it is saved.

        Whitening is fitted to the items' first texts, and follows the layers of the base.
        """
        encoder, settings = self.encoder, self.settings
        encoder.settings = replace(
            encoder.settings, max_tokens=encoder.max_seq_length(settings.encoder_tokens)
        )
        if settings.whitening or settings.center:
            texts = [text for item in self.items for text in item.texts]
            encoder.append_layer(fit_whitening(encoder.encode(texts), settings.whitening))

    def _remaining_batches(self) -> Iterator[Batch]:
        for epoch in range(self.state.step // self.epoch_steps, self.settings.epochs):
            done = self.state.step % self.epoch_steps
            for indices in islice(self.batch_indices(epoch), done, None):
                yield self.views.batch(indices, epoch)

    def _check_health(self, step: int, loss: float, vectors: torch.Tensor) -> None:
        remedy = "lower tuning.learning_rate, or raise tuning.warmup_ratio"
        if not math.isfinite(loss):
            raise TuningError(f"the loss is {loss} at step {step + 1} of {self.total}: {remedy}")
        if step >= FIRST_COLLAPSE_CHECK and (cosine := mean_cosine(vectors)) > COLLAPSED:
            raise TuningError(
                f"the vectors have collapsed at step {step + 1} of {self.total}, loss {loss:.3f}: "
                f"their mean cosine is {cosine:.4f}; {remedy}"
            )


def _load_encoder(settings: TuningSection, base: Path, items: Sequence[Item]) -> Encoder:
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
    if settings.weighting == "inverse-frequency":
        rows = encoder.token_ids([text for item in items for text in item.texts])
        vocab_size = int(encoder.model.config.vocab_size)
        encoder.token_weights = inverse_frequencies(rows, vocab_size)
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
