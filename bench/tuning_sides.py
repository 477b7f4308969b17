"""Sides of the tuning benchmark: the published method, sentence-transformers and ours."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.machine import memory_now, memory_peak
from bench.measuring import Settings
from bench.tuning_arithmetic import peak

if TYPE_CHECKING:
    from mirror.tuning.items import Item

EQUAL_STEPS, EQUAL_BATCH = 5, 32
COMMON = (
    "batch_size",
    "learning_rate",
    "temperature",
    "max_tokens",
    "mask_length",
    "dropout",
    "weight_decay",
    "pooling",
    "seed",
)
"""Settings that all sides have in common."""


class Clock:
    """Times and losses of steps; the speed is without the first step, which fills caches."""

    def __init__(self) -> None:
        self.loaded = memory_now()
        self.times: list[float] = []
        self.busy: list[float] = []
        self.losses: list[float] = []

    def tick(self, loss: float) -> None:
        """Record the end of a step."""
        self.times.append(time.perf_counter())
        self.busy.append(time.process_time())
        self.losses.append(loss)

    def result(self, settings: Settings) -> dict[str, Any]:
        """Return speed, memory and losses of a side."""
        steps = len(self.times) - 1
        seconds = (self.times[-1] - self.times[0]) / steps
        busy = (self.busy[-1] - self.busy[0]) / steps
        half = max(1, len(self.losses) // 2)
        return {
            "strings_per_second": settings["batch_size"] / seconds,
            "strings_per_processor_second": settings["batch_size"] / busy,
            # The system counts the peak a little late.
            "peak_mb": max(memory_peak(), self.loaded),
            "loaded_mb": self.loaded,
            "first_loss": mean(self.losses[:half]),
            "last_loss": mean(self.losses[-half:]),
            "steps": len(self.times),
        }


def official(settings: Settings) -> dict[str, Any]:
    """Tune by the published method."""
    from bench.official_method import OfficialMethod

    texts = _texts(settings)
    method, size = OfficialMethod(Path(settings["base"]), settings), settings["batch_size"]
    clock = Clock()
    for start in range(0, len(texts), size):
        clock.tick(method.step(texts[start : start + size]))
    return clock.result(settings)


def trainer(settings: Settings) -> dict[str, Any]:
    """Tune by sentence-transformers' trainer: equal pairs, in-batch negatives, its defaults."""
    texts = _texts(settings)
    return run_trainer(settings, texts, texts)


def run_trainer(
    settings: Settings, first: list[str], second: list[str], **more: Any
) -> dict[str, Any]:
    """Tune by sentence-transformers' trainer with in-batch negatives.

    Args:
        settings: of the side.
        first: one text of each pair.
        second: the other, in the same order.
        **more: settings of the trainer, beside its defaults.
    """
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import TrainerCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    # By default it trains in the precision of the stored weights, which may be 16 bits.
    precision = {"dtype": torch.float32}
    words = Transformer(
        settings["base"], max_seq_length=settings["max_tokens"], model_kwargs=precision
    )
    pooling = Pooling(words.get_embedding_dimension(), pooling_mode=settings["pooling"])
    model = SentenceTransformer(modules=[words, pooling], device=settings["device"])
    clock = Clock()

    class Watch(TrainerCallback):
        """Passes the loss of each step to the clock."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            """Record a step."""
            if logs and "loss" in logs:
                clock.tick(float(logs["loss"]))

    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=settings["device"] == "cpu",
            seed=settings["seed"],
            **more,
        )
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"anchor": first, "positive": second}),
            loss=MultipleNegativesRankingLoss(model, scale=1 / settings["temperature"]),
            callbacks=[Watch()],
        ).train()
    return clock.result(settings)


def ours(settings: Settings) -> dict[str, Any]:
    """Tune by `mirror.tuning.trainer.tune`, as a recipe does."""
    changes = {name: settings[name] for name in (*COMMON, "precision")}
    texts, clock = _texts(settings), Clock()
    tune_ours(Path(settings["base"]), texts, changes | settings["extra"], clock.tick)
    return clock.result(settings)


def tune_ours(
    base: Path, texts: Sequence[str | Item], changes: Settings, on_loss: Callable[[float], None]
) -> None:
    """Tune for one epoch with the defaults of sentences and these changes."""
    from mirror.tuning.trainer import TrainingPaths, tune
    from mirror.tuning_config import TuningSection
    from mirror.tuning_defaults import fill_tuning

    section = TuningSection(**fill_tuning("sentence", changes | {"epochs": 1}))
    with tempfile.TemporaryDirectory() as folder:
        paths = TrainingPaths(base, Path(folder) / "out", Path(folder) / "work")
        paths.out.mkdir()
        paths.work.mkdir()
        tune(section, texts, paths, lambda step: on_loss(step.loss))


def losses(settings: Settings) -> dict[str, Any]:
    """Return the largest difference of our losses from the published method's, step by step.

    Nothing is random: both have the same strings in the same order, without dropout and masks.
    """
    from bench.official_method import OfficialMethod
    from mirror.tuning.batch_sampler import epoch_batches

    texts, base, seed = _texts(settings), Path(settings["base"]), settings["seed"]
    size = min(EQUAL_BATCH, len(texts) // EQUAL_STEPS)
    texts = texts[: size * EQUAL_STEPS]
    fixed = settings | {"dropout": 0.0, "mask_length": 0, "batch_size": size, "autocast": False}
    method = OfficialMethod(base, fixed)
    published = [
        method.step([texts[index] for index in batch])
        for batch in epoch_batches(len(texts), size, seed, 0)
    ]
    # The published mean counts padding.
    pooling = "cls" if settings["pooling"] == "cls" else "mean-with-padding"
    paper = {"mode": "paper", "precision": "fp32", "pooling": pooling}
    made: list[float] = []
    tune_ours(base, texts, {name: fixed[name] for name in COMMON} | paper, made.append)
    differences = [abs(first - second) for first, second in zip(made, published, strict=True)]
    return {"steps": len(differences), "largest_difference": max(differences)}


def _texts(settings: Settings) -> list[str]:
    texts: list[str] = json.loads(Path(settings["texts"]).read_text(encoding="utf-8"))
    return texts


SIDES = {
    "official": official,
    "trainer": trainer,
    "ours": ours,
    "peak": peak,
    "losses": losses,
}
