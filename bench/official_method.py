"""Published training step of Mirror-BERT (section 2 of the paper), to compare with.

Each string makes a pair with itself, and `[MASK]` replaces a span of the second one's characters.
Each side is padded to the maximum length and has its own forward pass. The loss is that of
pytorch-metric-learning, as in the official code. AdamW applies weight decay to all weights.
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
        settings: `temperature`, `max_tokens`, `mask_length`, `dropout`, `learning_rate`,
            `weight_decay`, `pooling` (`cls` or `mean`, which averages padding too), `device`.
    """

    def __init__(self, base: Path, settings: dict[str, Any]) -> None:
        self.settings, self.device = settings, torch.device(settings["device"])
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
        dropout = dict.fromkeys(rates, settings["dropout"])
        self.model = AutoModel.from_pretrained(
            base,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            **dropout,
        )
        self.model.to(self.device).train()
        self.tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
        self.criterion = NTXentLoss(temperature=settings["temperature"])
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=settings["learning_rate"],
            weight_decay=settings["weight_decay"],
        )
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=bool(settings["autocast"]) and self.device.type == "cuda"
        )
        self.generator = random.Random(settings["seed"])

    def step(self, texts: Sequence[str]) -> float:
        """Take a step on a batch, and return its loss."""
        views = [self.masked(text) for text in texts]
        half = torch.float16 if self.device.type == "cuda" else torch.bfloat16
        with torch.autocast(self.device.type, half, enabled=bool(self.settings["autocast"])):
            loss = self.loss(texts, views)
        self.optimizer.zero_grad()
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(loss.detach())

    def loss(self, texts: Sequence[str], views: Sequence[str]) -> Tensor:
        """Return the NTXent loss over both sides, each encoded by itself."""
        vectors = torch.cat([self.vectors(texts), self.vectors(views)])
        labels = torch.arange(len(texts), device=self.device).repeat(2)
        loss: Tensor = self.criterion(vectors, labels)
        return loss

    def vectors(self, texts: Sequence[str]) -> Tensor:
        """Return pooled vectors (texts, width)."""
        inputs = self.tokenizer(
            list(texts),
            max_length=self.settings["max_tokens"],
            padding="max_length",
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        hidden: Tensor = self.model(**inputs).last_hidden_state
        return hidden[:, 0] if self.settings["pooling"] == "cls" else hidden.mean(1)

    def masked(self, text: str) -> str:
        """Return the text with `[MASK]` for the first span that is equal to the one drawn."""
        length = self.settings["mask_length"]
        if not length or len(text) < LEAST_CHARACTERS:
            return text
        start = self.generator.randrange(len(text) - length)
        before, _, after = text.partition(text[start : start + length])
        return f"{before} [MASK] {after}"
