from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pytorch_metric_learning.losses import NTXentLoss
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from mirror.contrastive import info_nce, mean_cosine


@pytest.fixture(params=[0.04, 0.2])
def temperature(request: pytest.FixtureRequest) -> float:
    return float(request.param)


@pytest.fixture
def sides() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(24, 16, generator=generator)
    second = first + 0.7 * torch.randn(24, 16, generator=generator)
    return first.requires_grad_(), second.requires_grad_()


def gradients(loss: Tensor, sides: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat(torch.autograd.grad(loss, sides))


def assert_same(ours: Tensor, theirs: Tensor, sides: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    expected = gradients(theirs, sides)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(gradients(ours, sides), expected, atol=1e-5, rtol=1e-5)


def test_equals_the_official_codes_loss(sides: tuple[Tensor, Tensor], temperature: float) -> None:
    labels = torch.arange(24).repeat(2)
    theirs = NTXentLoss(temperature=temperature)(torch.cat(sides), labels)
    assert_same(info_nce(*sides, temperature), theirs, sides)


def test_equals_sentence_transformers_loss_of_both_sides(
    sides: tuple[Tensor, Tensor], temperature: float
) -> None:
    model: Any = torch.nn.Identity()
    ranking = MultipleNegativesRankingLoss(
        model, scale=1 / temperature, directions=("query_to_doc", "query_to_query")
    )
    labels = torch.empty(0)
    first, second = sides
    theirs = (
        ranking.compute_loss_from_embeddings([first, second], labels)
        + ranking.compute_loss_from_embeddings([second, first], labels)
    ) / 2
    assert_same(info_nce(first, second, temperature), theirs, sides)


def test_equal_strings_are_not_each_others_negatives(sides: tuple[Tensor, Tensor]) -> None:
    first, second = sides
    names = torch.arange(24)
    names[5] = 2
    ours = info_nce(first, second, 0.1, names)
    vectors = torch.nn.functional.normalize(torch.cat([first, second]), dim=-1)
    exponentials = (vectors @ vectors.T / 0.1).exp()
    losses = []
    for anchor in range(48):
        positive = (anchor + 24) % 48
        equal = {2, 5, 26, 29} if anchor % 24 in (2, 5) else {anchor}
        others = [other for other in range(48) if other not in equal or other == positive]
        losses.append(-(exponentials[anchor, positive] / exponentials[anchor, others].sum()).log())
    assert_same(ours, torch.stack(losses).mean(), sides)
    assert not torch.isclose(ours, info_nce(first, second, 0.1))


def test_names_that_all_differ_change_nothing(sides: tuple[Tensor, Tensor]) -> None:
    assert torch.equal(info_nce(*sides, 0.1, torch.arange(24) * 3), info_nce(*sides, 0.1))


def test_the_sides_can_be_swapped(sides: tuple[Tensor, Tensor]) -> None:
    first, second = sides
    torch.testing.assert_close(info_nce(first, second, 0.1), info_nce(second, first, 0.1))


def test_vectors_that_say_nothing_cost_the_logarithm_of_the_candidates() -> None:
    same = torch.ones(10, 4)
    assert info_nce(same, same, 0.04).item() == pytest.approx(math.log(19), abs=1e-5)


def test_is_computed_in_fp32_under_autocast(sides: tuple[Tensor, Tensor]) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        under = info_nce(*sides, 0.04)
    assert under.dtype == torch.float32
    assert torch.equal(under, info_nce(*sides, 0.04))


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    rows = torch.nn.functional.normalize(vectors, dim=-1)
    cosines = rows @ rows.T
    expected = cosines[~torch.eye(12, dtype=torch.bool)].mean().item()
    assert mean_cosine(vectors) == pytest.approx(expected, abs=1e-6)
    assert mean_cosine(torch.ones(5, 3)) == pytest.approx(1, abs=1e-6)
