"""Mirror-BERT's training step as published, written from ../shared/paper.md, to compare with.

Every string is put beside itself; `[MASK]` stands for a run of characters in the second of the two;
each side is padded to the longest that is allowed and has a forward pass of its own; the loss is
pytorch-metric-learning's, which the official code calls; AdamW decays every weight.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_metric_learning.losses import NTXentLoss
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

LEAST_CHARACTERS = 30


class OfficialMethod:
    """The published method on one base.

    Args:
        base: folder of a masked language model.
        asked: `temperature`, `max_tokens`, `mask_length`, `dropout`, `learning_rate`,
            `weight_decay`, `pooling` (`cls` or `mean`, which averages padding too), `device`.
    """

    def __init__(self, base: Path, asked: dict[str, Any]) -> None:
        self.asked, self.device = asked, torch.device(asked["device"])
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
        dropout = dict.fromkeys(rates, asked["dropout"])
        self.model = AutoModel.from_pretrained(
            base,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            **dropout,
        )
        self.model.to(self.device).train()
        self.tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
        self.criterion = NTXentLoss(temperature=asked["temperature"])
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=asked["learning_rate"], weight_decay=asked["weight_decay"]
        )
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=bool(asked["autocast"]) and self.device.type == "cuda"
        )
        self.generator = random.Random(asked["seed"])

    def step(self, texts: Sequence[str]) -> float:
        """One step on one batch; its loss."""
        views = [self.masked(text) for text in texts]
        half = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        with torch.autocast(self.device.type, half, enabled=bool(self.asked["autocast"])):
            loss = self.loss(texts, views)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(loss.detach())

    def loss(self, texts: Sequence[str], views: Sequence[str]) -> Tensor:
        """NTXent over both sides, each encoded by itself."""
        vectors = torch.cat([self.vectors(texts), self.vectors(views)])
        labels = torch.arange(len(texts), device=self.device).repeat(2)
        loss: Tensor = self.criterion(vectors, labels)
        return loss

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Pooled vectors (texts, width)."""
        inputs = self.tokenizer(
            list(texts),
            max_length=self.asked["max_tokens"],
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        hidden: Tensor = self.model(**inputs).last_hidden_state
        return hidden[:, 0] if self.asked["pooling"] == "cls" else hidden.mean(1)

    def masked(self, text: str) -> str:
        """The text with `[MASK]` for the first run that reads like the one drawn."""
        length = self.asked["mask_length"]
        if not length or len(text) < LEAST_CHARACTERS:
            return text
        start = self.generator.randrange(len(text) - length)
        before, _, after = text.partition(text[start : start + length])
        return f"{before} [MASK] {after}"
