"""Masked language modelling, from scratch or from a base, on CPU cores or one GPU.

On a CPU several single-threaded processes average their gradients: faster than threads, and unlike
threads it does not collapse when something else takes a core.
"""

from __future__ import annotations

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import FileStore  # type: ignore[attr-defined]
from torch.multiprocessing.spawn import spawn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
)

from mirror.encoders.architectures import set_dropout
from mirror.errors import TuningError
from mirror.pretraining.checkpoint import TrainingPosition, load_checkpoint, save_checkpoint
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import read_token_corpus
from mirror.pretraining.objective import Objective, ProcessRank

log = logging.getLogger(__name__)

REPORTED_STEPS = 200


@dataclass(frozen=True)
class PretrainingStep:
    """What one step did; losses in nats."""

    step: int
    tokens: int
    total_tokens: int
    masked_loss: float
    sentence_loss: float
    word_loss: float
    rate: float
    tokens_per_second: float


@dataclass(frozen=True)
class TrainingSession:
    """One stretch of a run: where its files are, and when it must stop."""

    pieces: Path
    """Folder with `start/`, the model and tokenizer to begin from, and the corpus's pieces."""
    checkpoints: Path
    """Folder that outlives the sitting."""
    minutes: float | None = None
    """Stop after so many, with a checkpoint; nothing means go on to the end."""


OnPretrainingStep = Callable[[PretrainingStep], None]


def rate_at(settings: PretrainingSettings, tokens: int) -> float:
    """The learning rate after `tokens`: linear warm-up, constant, linear decay to zero."""
    if tokens < settings.warmup_tokens:
        return settings.peak_rate * (tokens + 1) / (settings.warmup_tokens + 1)
    falling = settings.total_tokens - settings.decay_starts
    left = (settings.total_tokens - tokens) / falling if falling else 1.0
    return settings.peak_rate * max(0.0, min(1.0, left))


def pretrain(
    settings: PretrainingSettings, sitting: TrainingSession, on_step: OnPretrainingStep
) -> tuple[PreTrainedModel, PretrainingStep] | None:
    """Runs one sitting, from the last checkpoint.

    Returns:
        The model and the last step (losses are means of the last 200), or nothing if the sitting
        ended before the run did.

    Raises:
        TuningError: the loss is not a number, or every checkpoint is damaged.
        OSError: a checkpoint cannot be written.
    """
    world = 1 if torch.cuda.is_available() else settings.processes
    if world == 1:
        return _run(ProcessRank(0, 1), settings, sitting, on_step)
    with tempfile.TemporaryDirectory() as folder:
        meeting = str(Path(folder) / "rendezvous")
        others = spawn(
            _run_other, (world, settings, sitting, meeting), nprocs=world - 1, join=False
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            _meet(meeting, ProcessRank(0, world))
            result = _run(ProcessRank(0, world), settings, sitting, on_step)
            while not others.join():
                pass
        finally:
            torch.set_num_threads(threads)
            for other in others.processes:
                other.terminate()
            if dist.is_initialized():
                dist.destroy_process_group()
    return result


def _run_other(
    index: int, world: int, settings: PretrainingSettings, sitting: TrainingSession, meeting: str
) -> None:
    torch.set_num_threads(1)
    rank = ProcessRank(index + 1, world)
    _meet(meeting, rank)
    _run(rank, settings, sitting, lambda step: None)
    dist.destroy_process_group()


def _meet(meeting: str, rank: ProcessRank) -> None:
    store = FileStore(meeting, rank.world)
    dist.init_process_group("gloo", store=store, rank=rank.index, world_size=rank.world)


class _Run:
    """The model, its optimiser and the place of one process in a run."""

    def __init__(
        self, rank: ProcessRank, settings: PretrainingSettings, sitting: TrainingSession
    ) -> None:
        self.rank, self.settings, self.sitting = rank, settings, sitting
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        start = sitting.pieces / "start"
        self.tokenizer = AutoTokenizer.from_pretrained(start, trust_remote_code=False)
        config = AutoConfig.from_pretrained(start, trust_remote_code=False)
        set_dropout(config, settings.dropout)
        self.model = AutoModelForMaskedLM.from_pretrained(
            start,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
        self.model.to(self.device).train()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings.peak_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        corpus = read_token_corpus(sitting.pieces)
        self.objective = Objective(self.model, self.tokenizer, corpus, settings, rank)
        self.place = self._resume()

    def _folder(self, tokens: int) -> Path:
        """Before the decay a checkpoint serves any length of run; after, only this one."""
        if tokens <= self.settings.decay_starts:
            return self.sitting.checkpoints / "constant"
        return self.sitting.checkpoints / f"decay-{self.settings.total_tokens}"

    def _resume(self) -> TrainingPosition:
        for tokens in (self.settings.total_tokens, 0):
            place = load_checkpoint(self._folder(tokens), self.model, self.optimizer)
            if place is not None:
                return place
        return TrainingPosition()

    @property
    def about_to_decay(self) -> bool:
        """Whether the next step is the first that this length of run alone would take."""
        start = self.settings.decay_starts
        return start - self.settings.tokens_per_step < self.place.tokens <= start

    def save(self) -> None:
        """Leaves a checkpoint; only the first process does."""
        if self.rank.index == 0:
            save_checkpoint(self._folder(self.place.tokens), self.model, self.optimizer, self.place)

    def step(self) -> tuple[Tensor, float]:
        """Takes one step; returns its three losses and the rate."""
        rate = rate_at(self.settings, self.place.tokens)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16):
            parts, tokens = self.objective.losses(self.place.step)
        weight = self.settings.context_weight
        loss = parts[0] + weight * (parts[1] + parts[2])
        loss.backward()
        _average_gradients(self.model, self.rank.world)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.place = TrainingPosition(self.place.step + 1, self.place.tokens + tokens)
        return parts.detach(), rate

    def told(self, parts: Tensor, rate: float, speed: float) -> PretrainingStep:
        """The step just taken, in numbers."""
        masked, sentence, word = parts.tolist()
        step, tokens = self.place.step, self.place.tokens
        total = self.settings.total_tokens
        return PretrainingStep(step, tokens, total, masked, sentence, word, rate, speed)


def _run(
    rank: ProcessRank,
    settings: PretrainingSettings,
    sitting: TrainingSession,
    on_step: OnPretrainingStep,
) -> tuple[PreTrainedModel, PretrainingStep] | None:
    run = _Run(rank, settings, sitting)
    _agreed(rank.world, False)  # all have read the checkpoint before the first one replaces it
    began = saved = time.monotonic()
    first = run.place.tokens
    recent: list[Tensor] = []
    last = run.told(torch.zeros(3), rate=0.0, speed=0.0)
    while run.place.tokens < settings.total_tokens:
        if run.about_to_decay:
            run.save()
        parts, rate = run.step()
        recent = [*recent[1 - REPORTED_STEPS :], parts]
        now = time.monotonic()
        last = run.told(parts, rate, (run.place.tokens - first) / (now - began))
        on_step(last)
        over = sitting.minutes is not None and now - began > 60 * sitting.minutes
        due = now - saved > settings.checkpoint_seconds
        over, due, broken = _agreed(rank.world, over, due, not bool(parts.isfinite().all()))
        if broken:
            raise TuningError(
                f"the loss of step {last.step} is not a number: lower peak_rate "
                f"({settings.peak_rate}) and run again from the last checkpoint"
            )
        if over or due:
            run.save()
            saved = now
        if over:
            return None
    if recent:
        means = torch.stack(recent).mean(dim=0).tolist()
        last = replace(last, masked_loss=means[0], sentence_loss=means[1], word_loss=means[2])
    run.save()
    return run.model.eval(), last


def _agreed(world: int, *flags: bool) -> tuple[bool, ...]:
    """Each flag as any process set it, so that all take the same turn."""
    if world == 1:
        return flags
    votes = torch.tensor([float(flag) for flag in flags])
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return tuple(bool(vote) for vote in votes)


def _average_gradients(model: nn.Module, world: int) -> None:
    if world == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
