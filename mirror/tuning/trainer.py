"""Trainer of Mirror-BERT: tunes a base on strings, from the last checkpoint to the last step.

Each string is paired with itself; one view is masked, both have dropout, and all other strings of
the batch are negatives (Liu et al. 2021).

Batches, masks and dropout depend only on the seed and the step's number, so that a run that was
killed and resumed ends with the same weights to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW

from mirror.checkpoint import load_checkpoint, save_checkpoint
from mirror.encoders.fitted_layers import fit_reduction, fit_whitening
from mirror.errors import StoppedError, TuningError
from mirror.hardware import thread_count
from mirror.parallel import SINGLE_THREAD, WorkerThreads, worker_count, worker_threads
from mirror.shutdown import stop_asked
from mirror.store import safetensors_errors_as_os_errors
from mirror.tuning.batch_sampler import batch_count, check_batch, epoch_batches
from mirror.tuning.distributed import tune_distributed
from mirror.tuning.guard import Guard
from mirror.tuning.items import Item, as_items
from mirror.tuning.losses import ContrastiveObjective, mean_cosine
from mirror.tuning.lr_schedule import learning_rate
from mirror.tuning.merging import Candidate, choose, load_best, save_best, weights_of
from mirror.tuning.model_setup import load_encoder, make_cuda_repeatable, uses_bf16
from mirror.tuning.process_group import SINGLE_PROCESS, current_process_group
from mirror.tuning.train_step import TrainStep
from mirror.tuning.training_log import OnStep, StepClock, TrainingState, TuningStep, write_log
from mirror.tuning.validation import ValidationSet, split_validation
from mirror.tuning.views import Batch, Views
from mirror.tuning_config import TuningSection

FIRST_COLLAPSE_CHECK = 25
COLLAPSED = 0.999
"""Mean cosine of a batch's vectors above which they no longer tell texts apart.  Some raw models
come close to it, so the first steps are not checked."""
VALIDATIONS = 3
"""How often the validation documents are scored, at equal distances."""


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
    on_step: OnStep = lambda step: None,
    guard: Guard | None = None,
) -> Mapping[str, Any]:
    """Tune a base on strings; write the encoder and the training log.

    Args:
        settings: a recipe's `[tuning]`.
        strings: each is paired with itself; an `Item` is taken as it is.
        paths: of the base, the output and the checkpoints.
        on_step: called after each step.
        guard: limits the share of tuned weights, if there are validation documents.

    Returns:
        Counts, for the stage's record.

    Raises:
        SampleError: there are fewer different strings than a batch takes.
        BaseModelError, TokenizerError: the base cannot be loaded, or not be masked.
        TuningError, StoppedError: as `Trainer.train`.
    """
    items = as_items(strings)
    count, longest = settings.validation_documents, settings.crop_sentences
    tuned_on, validation = split_validation(items, count, longest)
    check_batch(tuned_on, settings, len(items) - len(tuned_on))
    if settings.num_processes > 1 and current_process_group() == SINGLE_PROCESS:
        return tune_distributed(settings, items, vars(paths), on_step, guard)
    torch.set_num_threads(thread_count())
    trainer = Trainer(settings, tuned_on, paths, validation)
    with safetensors_errors_as_os_errors():  # from here on files are only written
        trainer.train(on_step)
        if not trainer.process_group.is_first:
            return {}
        candidates = trainer.select_weights(guard)
        trainer.finalize()
        trainer.encoder.save(paths.out / "encoder")
    return write_log(trainer, candidates, paths.out)


class Trainer:
    """Training loop, from the last checkpoint to the last step."""

    def __init__(
        self,
        settings: TuningSection,
        items: Sequence[Item],
        paths: TrainingPaths,
        validation: ValidationSet | None = None,
    ) -> None:
        self.settings = settings
        self.validation = validation
        self.items = items
        self.paths = paths
        self.encoder = load_encoder(settings, paths.base, items)
        self.views = Views(settings, items, self.encoder, paths.base)
        self.bf16 = uses_bf16(settings, self.encoder.device)
        if self.encoder.device.type == "cuda":
            make_cuda_repeatable()
        torch.manual_seed(_step_seed(settings.seed, -1))
        objective = ContrastiveObjective(settings, self.encoder.dimension).to(self.encoder.device)
        group = self.process_group = current_process_group()
        self.train_step = TrainStep(settings, self.encoder, objective, self.bf16, group)
        self.trained = nn.ModuleDict({"model": self.encoder.model, "objective": objective})
        weights = self.trained.parameters()  # each step sets its learning rate
        self.optimizer = AdamW(weights, weight_decay=settings.weight_decay, fused=True)
        saved = load_checkpoint(paths.work, self.trained, self.optimizer, TrainingState)
        self.state = saved or TrainingState()
        self.process_group.barrier()  # the first process is about to replace what all have read
        self.epoch_steps = batch_count(len(items), settings.batch_size)
        self.total = self.epoch_steps * settings.epochs
        self.full_dimension: int | None = None

    def train(self, on_step: OnStep) -> None:
        """Do the steps that are left.

        Raises:
            StoppedError: a stop was asked for; there is a checkpoint.
            TuningError: the loss is not finite, or the vectors have collapsed.
        """
        clock = StepClock(self.state.step)
        if self.state.step == 0 and self.process_group.is_first:
            self.views.warn_if_full()
        for end in self._validation_steps():
            if self.state.step < end:
                self._train_until(end, clock, on_step)
            if self.state.step == end:  # also after a checkpoint between this step and its scores
                self.validate()

    def _train_until(self, end: int, clock: StepClock, on_step: OnStep) -> None:
        """Do the steps up to step `end`, with a checkpoint where one is due."""
        self.encoder.model.train()
        with worker_threads(worker_count(self.encoder.device)) as threads:
            for batch in islice(self._remaining_batches(), end - self.state.step):
                self.take_step(batch, threads)
                on_step(self.last_step(clock.step_seconds(self.state.step)))
                stop = self.process_group.any_rank(stop_asked()) and self.state.step < self.total
                if stop or clock.since_save >= self.settings.checkpoint_seconds:
                    self.save()
                    clock.restart_save()
                if stop:
                    raise StoppedError(
                        f"tuning was stopped after step {self.state.step} of {self.total}: run "
                        "again to resume from its checkpoint"
                    )

    def validate(self) -> None:
        """Score the weights, unless they have been, and keep them if no earlier ones are better."""
        done = [each["step"] for each in self.state.validations]
        if self.validation is None or not self.process_group.is_first or self.state.step in done:
            return
        scores = self.validation.score(self.encoder)
        earlier = [each["mean"] for each in self.state.validations]
        self.state.validations.append({"step": self.state.step, **scores})
        if self.state.step < self.total and scores["mean"] >= max(earlier, default=-math.inf):
            save_best(self.paths.work, self.encoder.model)

    def select_weights(self, guard: Guard | None) -> list[Candidate]:
        """Set the weights to those that find most on the validation documents.

        Returns:
            The merges of tuned and base weights that were scored, the chosen one first; none
            without validation documents.
        """
        validation = self.validation
        if validation is None:
            return []
        if self.state.best_validation["step"] < self.total:
            load_best(self.paths.work, self.encoder.model)
        shares, of_tuned = self.settings.merge_shares, self.state.best_scores
        if set(shares) == {1.0} and guard is None:
            return [Candidate(1.0, of_tuned)]
        self.optimizer.state.clear()  # makes room for the base's weights
        self.optimizer.zero_grad(set_to_none=True)
        base = load_encoder(self.settings, self.paths.base, self.items)
        lowest = guard.score(base) - guard.tolerance if guard else None

        def score(share: float) -> Candidate:
            scores = of_tuned if share == 1 else validation.score(self.encoder)
            return Candidate(share, scores, guard.score(self.encoder) if guard else None)

        return choose(self.encoder.model, weights_of(base.model), shares, score, lowest)

    def batch_indices(self, epoch: int) -> Iterator[Sequence[int]]:
        """Yield the indices of the items of each batch of an epoch."""
        lengths = None
        if self.settings.batch_sampler == "length-bucketed":
            lengths = [sum(map(len, item.texts)) for item in self.items]
        return epoch_batches(
            len(self.items), self.settings.batch_size, self.settings.seed, epoch, lengths
        )

    def take_step(self, batch: Batch, threads: WorkerThreads = SINGLE_THREAD) -> None:
        """Compute a batch's gradients and do one step of AdamW."""
        step = self.state.step
        rate = learning_rate(self.settings, step, self.total)
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
        self.state.full += batch.full_count

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
        """Set the encoder's length, and fit whitening and fewer dimensions to the items' texts."""
        encoder, settings = self.encoder, self.settings
        encoder.settings = replace(
            encoder.settings, max_tokens=encoder.max_seq_length(settings.encoder_tokens)
        )
        texts = [text for item in self.items for text in item.texts]
        if settings.whitening or settings.center:
            encoder.append_layer(fit_whitening(encoder.encode(texts), settings.whitening))
        if settings.dimensions and settings.dimensions < encoder.dimension:
            self.full_dimension = encoder.dimension
            encoder.append_layer(fit_reduction(encoder.encode(texts), settings.dimensions))

    def _validation_steps(self) -> list[int]:
        """Return the steps after which to validate, the last step among them."""
        count = VALIDATIONS if self.validation else 1
        return sorted({math.ceil(self.total * number / count) for number in range(1, count + 1)})

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


def _step_seed(seed: int, step: int) -> int:
    return int.from_bytes(sha256(f"dropout {seed} {step}".encode()).digest()[:8], "little") >> 1
