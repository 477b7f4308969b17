"""What a pretraining step descends: masked tokens, and what the class token says of its context.

BERT's masked-token loss on packed rows trains no class token, and a model that has only seen full
rows is lost on a single word.  So two kinds of short rows are mixed in: one sentence, or one to
three words, whose class token predicts, through the same head, the pieces that stand in and around
it in the corpus.  No labels and no second model are used.
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

SLICE_ROWS = 64


@dataclass(frozen=True)
class ProcessRank:
    """Which of the processes of a run this is."""

    index: int
    world: int


def masked_head(model: PreTrainedModel) -> nn.Module:
    """The module that turns hidden states into logits over the vocabulary.

    Raises:
        BaseModelError: this kind of model has none that is known here.
    """
    for name in ("cls", "lm_head"):
        head = getattr(model, name, None)
        if isinstance(head, nn.Module):
            return head
    raise BaseModelError(
        f"{type(model).__name__} has no masked-language head that is known here: "
        "continue from a BERT, RoBERTa, XLM-R or CamemBERT"
    )


def mask_rows(
    rows: Tensor, share: float, tokenizer: PreTrainedTokenizerBase, rng: np.random.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """BERT's masking: of the chosen places 80% mask token, 10% random piece, 10% as they were.

    Args:
        rows: token ids (rows, length).
        share: how many of the places that hold no special token are chosen.
        tokenizer: gives the special tokens.
        rng: draws the places.

    Returns:
        The masked rows, and of the chosen places the indices into the flattened rows and the
        pieces that stood there.
    """
    flat = rows.flatten().clone()
    special = torch.isin(flat, torch.tensor(sorted(tokenizer.all_special_ids)))
    places = np.flatnonzero(~special.numpy())
    chosen = torch.from_numpy(rng.permutation(places)[: max(1, int(len(places) * share))])
    labels = flat[chosen]
    draw = torch.from_numpy(rng.random(len(chosen)))
    random = torch.from_numpy(rng.integers(0, len(tokenizer), len(chosen)))
    new = torch.where(draw < 0.8, torch.full_like(labels, tokenizer.mask_token_id), labels)
    flat[chosen] = torch.where(draw >= 0.9, random, new)
    return flat.view_as(rows), chosen, labels


class Objective:
    """The losses of a step, on one process; step n draws the same rows whenever it is run."""

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
        """Masked, sentence and word loss (3,), in nats, and the packed tokens of all processes."""
        settings, world = self._settings, self._rank.world
        rng = np.random.default_rng([settings.seed, step, self._rank.index])
        masked, tokens = self._masked(step, rng)
        sentence = word = masked.new_zeros(())
        if count := settings.sentences_per_step // world:
            longest = settings.shape.max_tokens // 2 - 2
            rows = self._context.sentences(rng, count, longest, settings.targets)
            sentence = self._surroundings(*rows)
        if count := settings.words_per_step // world:
            rows = self._context.words(rng, count, settings.window, settings.targets)
            word = self._surroundings(*rows)
        return torch.stack([masked, sentence, word]), tokens

    def _hidden(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        output = self._model.base_model(
            input_ids=ids.to(self._device),
            attention_mask=None if mask is None else mask.to(self._device),
        )
        hidden: Tensor = output.last_hidden_state
        return hidden

    def _masked(self, step: int, rng: np.random.Generator) -> tuple[Tensor, int]:
        lengths, rank = self._settings.row_lengths, self._rank
        length = lengths[step % len(lengths)]
        count = max(1, self._settings.tokens_per_step // length // rank.world)
        first = (step * rank.world + rank.index) * count
        rows = np.stack([self._packed[length].row(first + i) for i in range(count)])
        edge = np.ones((count, 1), dtype=np.int64)
        start, end = edge * self._tokenizer.cls_token_id, edge * self._tokenizer.sep_token_id
        ids, places, labels = mask_rows(
            torch.from_numpy(np.concatenate([start, rows, end], axis=1)),
            self._settings.mask_share,
            self._tokenizer,
            rng,
        )
        hidden = self._hidden(ids).flatten(0, 1)[places.to(self._device)]
        loss = functional.cross_entropy(self._head(hidden).float(), labels.to(self._device))
        return loss, count * length * rank.world

    def _surroundings(self, strings: list[Ints], targets: Ints) -> Tensor:
        order = np.argsort([len(string) for string in strings], kind="stable")
        tops = []
        for part in np.array_split(order, max(1, len(order) // SLICE_ROWS)):
            ids, mask = self._padded([strings[index] for index in part])
            tops.append(self._hidden(ids, mask)[:, 0])
        scores = functional.log_softmax(self._head(torch.cat(tops)).float(), dim=-1)
        return -scores.gather(1, torch.from_numpy(targets[order]).to(self._device)).mean()

    def _padded(self, strings: list[Ints]) -> tuple[Tensor, Tensor]:
        width = max(len(string) for string in strings) + 2
        ids = np.full((len(strings), width), self._tokenizer.pad_token_id, dtype=np.int64)
        for row, string in zip(ids, strings, strict=True):
            row[0] = self._tokenizer.cls_token_id
            row[1 : len(string) + 1] = string
            row[len(string) + 1] = self._tokenizer.sep_token_id
        lengths = np.asarray([len(string) + 2 for string in strings])
        mask = np.arange(width) < lengths[:, None]
        return torch.from_numpy(ids), torch.from_numpy(mask.astype(np.int64))
