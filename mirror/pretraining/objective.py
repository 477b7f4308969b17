"""Pretraining objective: masked tokens, and context prediction by the class token.

The masked-token loss of BERT on packed rows does not train the class token, and a model that has
seen only full rows does badly on single words.  Two kinds of short rows are mixed in: one sentence,
or one to three words, whose class token predicts tokens of their context through the same head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from mirror.errors import BaseModelError
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import ContextRows, Ints, PackedRows, TokenCorpus

MICRO_BATCH_ROWS = 64


@dataclass(frozen=True)
class ProcessRank:
    """Rank of a process, and the number of processes."""

    index: int
    world_size: int


def masked_head(model: PreTrainedModel) -> nn.Module:
    """Return the module that turns hidden states into logits over the vocabulary."""
    for name in ("cls", "lm_head"):
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            return head
    raise BaseModelError(
        f"{type(model).__name__} has no supported masked-language head: "
        "continue from a BERT, RoBERTa, XLM-R or CamemBERT"
    )


def mask_rows(
    rows: Tensor, ratio: float, tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Mask rows as BERT does: 80% mask token, 10% random token, 10% unchanged.

    Args:
        rows: token ids (rows, length).
        ratio: of the positions without special tokens, those that are chosen.
        tokenizer: names the special tokens.
        rng: draws the positions.

    Returns:
        The masked rows; of the chosen positions, the indices into the flattened rows and the
        original token ids.
    """
    flat = rows.flatten().clone()
    special = torch.isin(flat, torch.tensor(sorted(tokenizer.all_special_ids)))
    positions = np.flatnonzero(~special.numpy())
    count = max(1, int(len(positions) * ratio))
    chosen = torch.from_numpy(rng.permutation(positions)[:count])
    labels = flat[chosen]
    draw = torch.from_numpy(rng.random(len(chosen)))
    random = torch.from_numpy(rng.integers(0, len(tokenizer), len(chosen)))
    new = torch.where(draw < 0.8, torch.full_like(labels, tokenizer.mask_token_id), labels)
    flat[chosen] = torch.where(draw >= 0.9, random, new)
    return flat.view_as(rows), chosen, labels


class Objective:
    """Losses of a step in one process; step n always draws the same rows."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        corpus: TokenCorpus,
        settings: PretrainingSettings,
        rank: ProcessRank,
    ) -> None:
        self._model, self._tokenizer = model, tokenizer
        self._settings, self._rank = settings, rank
        self._head = masked_head(model)
        self._device = next(model.parameters()).device
        self._packed = {
            length: PackedRows(corpus, length - 2, settings.seed)
            for length in set(settings.row_lengths)
        }
        self._context = ContextRows(corpus, tokenizer, settings.subsampling)

    def losses(self, step: int) -> tuple[Tensor, int]:
        """Return the masked, sentence and word loss (3,) in nats, and the step's packed tokens."""
        settings, world_size = self._settings, self._rank.world_size
        rng = np.random.default_rng([settings.seed, step, self._rank.index])
        masked, tokens = self._masked_loss(step, rng)
        sentence = word = masked.new_zeros(())
        if count := settings.sentences_per_step // world_size:
            max_tokens = settings.shape.max_tokens // 2 - 2
            rows = self._context.sentences(rng, count, max_tokens, settings.targets)
            sentence = self._context_loss(*rows)
        if count := settings.words_per_step // world_size:
            rows = self._context.words(rng, count, settings.window, settings.targets)
            word = self._context_loss(*rows)
        return torch.stack([masked, sentence, word]), tokens

    def _hidden_states(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        output = self._model.base_model(
            input_ids=ids.to(self._device),
            attention_mask=None if mask is None else mask.to(self._device),
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _masked_loss(self, step: int, rng: np.random.Generator) -> tuple[Tensor, int]:
        lengths, rank = self._settings.row_lengths, self._rank
        length = lengths[step % len(lengths)]
        count = max(1, self._settings.tokens_per_step // length // rank.world_size)
        first = (step * rank.world_size + rank.index) * count
        rows = np.stack([self._packed[length].row(first + i) for i in range(count)])
        column = np.ones((count, 1), dtype=np.int64)
        start, end = column * self._tokenizer.cls_token_id, column * self._tokenizer.sep_token_id
        ids, positions, labels = mask_rows(
            torch.from_numpy(np.concatenate([start, rows, end], axis=1)),
            self._settings.mask_ratio,
            self._tokenizer,
            rng,
        )
        hidden = self._hidden_states(ids).flatten(0, 1)[positions.to(self._device)]
        loss = functional.cross_entropy(self._head(hidden).float(), labels.to(self._device))
        return loss, count * length * rank.world_size

    def _context_loss(self, strings: list[Ints], targets: Ints) -> Tensor:
        order = np.argsort([len(string) for string in strings], kind="stable")
        class_tokens = []
        for part in np.array_split(order, max(1, len(order) // MICRO_BATCH_ROWS)):
            ids, mask = self._pad([strings[index] for index in part])
            class_tokens.append(self._hidden_states(ids, mask)[:, 0])
        scores = functional.log_softmax(self._head(torch.cat(class_tokens)).float(), dim=-1)
        return -scores.gather(1, torch.from_numpy(targets[order]).to(self._device)).mean()

    def _pad(self, strings: list[Ints]) -> tuple[Tensor, Tensor]:
        width = max(len(string) for string in strings) + 2
        ids = np.full((len(strings), width), self._tokenizer.pad_token_id, dtype=np.int64)
        for row, string in zip(ids, strings, strict=True):
            row[0] = self._tokenizer.cls_token_id
            row[1 : len(string) + 1] = string
            row[len(string) + 1] = self._tokenizer.sep_token_id
        lengths = np.asarray([len(string) + 2 for string in strings])
        mask = np.arange(width) < lengths[:, None]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
