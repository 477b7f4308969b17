"""Ranking distillation: an encoder that ranks a batch's texts as one tuned before it does.

RankCSE (Liu et al. 2023) with ListNet (Cao et al. 2007): a contrastive loss pushes all negatives
away alike, whereas a teacher tells near ones from far ones.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from mirror.store import flush
from mirror.tuning.checkpoint import TrainingState

log = logging.getLogger(__name__)

SHARPER = 2.0
"""By how much the teacher's temperature is below the student's, as in RankCSE's reimplementation:
its lists are to be sharper than those that are drawn towards them."""

Taught = tuple[Tensor, Tensor]
"""A teacher's vectors of a batch's first and second texts: (N, width) each."""


@dataclass(frozen=True)
class Teacher:
    """What the encoder of a first pass makes of every item, and how that pass went."""

    first: Tensor
    """(items, width), fp32, of the items' first texts, not masked, without dropout."""
    second: Tensor
    """Of their second."""
    advance: TrainingState

    def of(self, indices: Sequence[int]) -> Taught:
        """Its vectors of a batch's items."""
        rows = torch.tensor(list(indices))
        return self.first[rows], self.second[rows]

    def save(self, path: Path) -> None:
        """Writes it whole or not at all."""
        fresh = path.with_suffix(".new")
        tensors = {"first": self.first, "second": self.second.clone()}
        save_file(tensors, fresh, metadata={"advance": json.dumps(asdict(self.advance))})
        flush(fresh)
        fresh.rename(path)


def read_teacher(path: Path) -> Teacher | None:
    """The teacher in a file; nothing if there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as file:
            advance = TrainingState(**json.loads(file.metadata()["advance"]))
            return Teacher(file.get_tensor("first"), file.get_tensor("second"), advance)
    except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
        log.warning("%s is damaged (%s): it is made again", path, error)
        return None


def ranking_distance(
    first: Tensor,
    second: Tensor,
    taught: Taught,
    temperature: float,
    names: Tensor | None = None,
) -> Tensor:
    """How far the student's lists are from the teacher's; mean of 2N lists.

    A list is an anchor's cosines with the other side's vectors of all other pairs, over a
    temperature; its distance is KL(teacher || student) of the chances, by softmax, to stand first.
    A list of nothing costs nothing.

    Args:
        first: (N, width), one vector for each pair.
        second: (N, width), of the same pairs in the same order.
        taught: the teacher's vectors of the same texts.
        temperature: the student's; the teacher's is half of it.
        names: (N,), equal where pairs share a text and are in none of each other's lists.

    Returns:
        A scalar, fp32, at least 0.
    """
    pairs = torch.arange(len(first)) if names is None else names
    same = (pairs[:, None] == pairs[None, :]).to(first.device)
    student = _cosines(first, second) / temperature
    teacher = _cosines(*(side.to(first.device) for side in taught)) / (temperature / SHARPER)
    lists = [_log_chances(side, same) for side in (student, student.T)]
    aims = [_log_chances(side, same) for side in (teacher, teacher.T)]
    apart = functional.kl_div(torch.cat(lists), torch.cat(aims), reduction="none", log_target=True)
    return apart.sum(1).mean()


def _cosines(first: Tensor, second: Tensor) -> Tensor:
    with torch.autocast(first.device.type, enabled=False):
        sides = [functional.normalize(side.float(), dim=-1) for side in (first, second)]
        return sides[0] @ sides[1].T


def _log_chances(scores: Tensor, same: Tensor) -> Tensor:
    # Not minus infinity: a list of nothing would have no gradient that is a number.
    return functional.log_softmax(scores.masked_fill(same, torch.finfo().min), dim=1)
