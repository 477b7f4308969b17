"""Pretraining loop: masked language modelling on CPU cores or one GPU.

On a CPU several single-threaded processes average their gradients: faster than threads, and robust
when another program takes a core.  `transformers.Trainer` is not used: rows are drawn by step
number, the schedule counts tokens, and a run can be lengthened from its checkpoint before the
decay.  Gradients are averaged in one buffer: a resumed run gives the same bytes.
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

from mirror.checkpoint import find_checkpoints, load_checkpoint, save_checkpoint
from mirror.encoders.architectures import set_dropout
from mirror.encoders.model_loading import device_has_bf16
from mirror.errors import TuningError
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import read_token_corpus
from mirror.pretraining.objective import Objective, ProcessRank

log = logging.getLogger(__name__)

AVERAGED_STEPS = 200
"""Steps over which the final losses are averaged."""


@dataclass(frozen=True)
class PretrainingStep:
    """Metrics of one step; losses in nats."""

    step: int
    tokens: int
    total_tokens: int
    masked_loss: float
    sentence_loss: float
    word_loss: float
    learning_rate: float
    tokens_per_second: float


@dataclass(frozen=True)
class TrainingSession:
    """Folders and time limit of one session of a run."""

    pieces: Path
    """Folder with the starting model and tokenizer in `start/`, and the tokenized corpus."""
    checkpoints: Path
    """Folder that later sessions continue from."""
    minutes: float | None = None
    """Stop with a checkpoint after this time; None means no limit."""


@dataclass(frozen=True)
class TrainingPosition:
    """Steps and tokens done."""

    step: int = 0
    tokens: int = 0


OnPretrainingStep = Callable[[PretrainingStep], None]


def learning_rate_at(settings: PretrainingSettings, tokens: int) -> float:
    """Return the learning rate after `tokens`: linear warm-up, constant, linear decay to zero."""
    if tokens < settings.warmup_tokens:
        return settings.learning_rate * (tokens + 1) / (settings.warmup_tokens + 1)
    decay_tokens = settings.total_tokens - settings.decay_starts
    remaining = (settings.total_tokens - tokens) / decay_tokens if decay_tokens else 1.0
    return settings.learning_rate * max(0.0, min(1.0, remaining))


def pretrain(
    settings: PretrainingSettings, session: TrainingSession, on_step: OnPretrainingStep
) -> tuple[PreTrainedModel, PretrainingStep] | None:
    """Train one session from the last checkpoint.

    Returns:
        The model and the last step, with losses averaged over the last 200; None if the time limit
        ended the session first.

    Raises:
        TuningError: the loss is not a number, or every checkpoint is damaged.
        OSError: a checkpoint cannot be written.
    """
    world_size = 1 if torch.cuda.is_available() else settings.num_processes
    if world_size == 1:
        return _train(ProcessRank(0, 1), settings, session, on_step)
    with tempfile.TemporaryDirectory() as folder:
        rendezvous = str(Path(folder) / "rendezvous")
        others = spawn(
            _train_rank,
            (world_size, settings, session, rendezvous),
            nprocs=world_size - 1,
            join=False,
        )
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            _init_process_group(rendezvous, ProcessRank(0, world_size))
            result = _train(ProcessRank(0, world_size), settings, session, on_step)
            while not others.join():
                pass
        finally:
            torch.set_num_threads(threads)
            for other in others.processes:
                other.terminate()
            if dist.is_initialized():
                dist.destroy_process_group()
    return result


def _train_rank(
    index: int,
    world_size: int,
    settings: PretrainingSettings,
    session: TrainingSession,
    rendezvous: str,
) -> None:
    torch.set_num_threads(1)
    rank = ProcessRank(index + 1, world_size)
    _init_process_group(rendezvous, rank)
    _train(rank, settings, session, lambda step: None)
    dist.destroy_process_group()


def _init_process_group(rendezvous: str, rank: ProcessRank) -> None:
    store = FileStore(rendezvous, rank.world_size)
    dist.init_process_group("gloo", store=store, rank=rank.index, world_size=rank.world_size)


class _Trainer:
    """Model, optimizer and position of one process."""

    def __init__(
        self, rank: ProcessRank, settings: PretrainingSettings, session: TrainingSession
    ) -> None:
        self.rank, self.settings, self.session = rank, settings, session
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.bf16 = device_has_bf16(self.device)
        start = session.pieces / "start"
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
            lr=settings.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        corpus = read_token_corpus(session.pieces)
        self.objective = Objective(self.model, self.tokenizer, corpus, settings, rank)
        self.position = self._resume()
        self._saved_step = self.position.step

    def _folder(self, tokens: int) -> Path:
        """Return the checkpoint's folder: runs of all lengths share it before the decay."""
        if tokens <= self.settings.decay_starts:
            return self.session.checkpoints / "constant"
        return self.session.checkpoints / f"decay-{self.settings.total_tokens}"

    def _resume(self) -> TrainingPosition:
        for tokens in (self.settings.total_tokens, 0):
            folder = self._folder(tokens)
            position = load_checkpoint(folder, self.model, self.optimizer, TrainingPosition)
            if position is not None:
                return position
            if find_checkpoints(folder):  # a run may take days
                raise TuningError(
                    f"the checkpoint in {folder} is damaged: remove it, and run again from an "
                    "earlier one"
                )
        return TrainingPosition()

    @property
    def starts_decay(self) -> bool:
        """Whether the next step is the first one of the decay."""
        start = self.settings.decay_starts
        return start - self.settings.tokens_per_step < self.position.tokens <= start

    def save(self) -> None:
        """Write a checkpoint, in the first process only; never again of the same step."""
        if self.rank.index == 0 and self.position.step != self._saved_step:
            folder = self._folder(self.position.tokens)
            save_checkpoint(folder, self.model, self.optimizer, self.position)
            self._saved_step = self.position.step

    def step(self) -> tuple[Tensor, float]:
        """Take one step; return its three losses and the learning rate."""
        learning_rate = learning_rate_at(self.settings, self.position.tokens)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        # Emulated, products in bf16 take many times as long as those in fp32.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            losses, tokens = self.objective.losses(self.position.step)
        weight = self.settings.context_weight
        loss = losses[0] + weight * (losses[1] + losses[2])
        loss.backward()
        _average_gradients(self.model, self.rank.world_size)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.position = TrainingPosition(self.position.step + 1, self.position.tokens + tokens)
        return losses.detach(), learning_rate

    def metrics(self, losses: Tensor, learning_rate: float, speed: float) -> PretrainingStep:
        """Return the metrics of the last step; `speed` in tokens per second."""
        masked, sentence, word = losses.tolist()
        step, tokens = self.position.step, self.position.tokens
        total = self.settings.total_tokens
        return PretrainingStep(step, tokens, total, masked, sentence, word, learning_rate, speed)


def _train(
    rank: ProcessRank,
    settings: PretrainingSettings,
    session: TrainingSession,
    on_step: OnPretrainingStep,
) -> tuple[PreTrainedModel, PretrainingStep] | None:
    trainer = _Trainer(rank, settings, session)
    _any_rank(rank, False)  # a barrier: the first process must not replace a checkpoint being read
    started = saved = time.monotonic()
    first = trainer.position.tokens
    recent: list[Tensor] = []
    last = trainer.metrics(torch.zeros(3), learning_rate=0.0, speed=0.0)
    while trainer.position.tokens < settings.total_tokens:
        if trainer.starts_decay:
            trainer.save()
        losses, learning_rate = trainer.step()
        recent = [*recent[1 - AVERAGED_STEPS :], losses]
        now = time.monotonic()
        speed = (trainer.position.tokens - first) / (now - started)
        last = trainer.metrics(losses, learning_rate, speed)
        on_step(last)
        is_over = session.minutes is not None and now - started > 60 * session.minutes
        is_due = now - saved > settings.checkpoint_seconds
        is_nan = not bool(losses.isfinite().all())
        is_over, is_due, is_nan = _any_rank(rank, is_over, is_due, is_nan)
        if is_nan:
            raise TuningError(
                f"the loss of step {last.step} is not a number: lower learning_rate "
                f"({settings.learning_rate}) and run again from the last checkpoint"
            )
        if is_over or is_due:
            trainer.save()
            saved = now
        if is_over:
            return None
    if recent:
        means = torch.stack(recent).mean(dim=0).tolist()
        last = replace(last, masked_loss=means[0], sentence_loss=means[1], word_loss=means[2])
    trainer.save()
    return trainer.model.eval(), last


def _any_rank(rank: ProcessRank, *flags: bool) -> tuple[bool, ...]:
    """Return for each flag whether any process set it, so that all take the same branch."""
    if rank.world_size == 1:
        return flags
    votes = torch.tensor([float(flag) for flag in flags])
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return tuple(bool(vote) for vote in votes)


def _average_gradients(model: nn.Module, world_size: int) -> None:
    if world_size == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))
