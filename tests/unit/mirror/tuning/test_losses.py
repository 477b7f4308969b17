from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.losses import MultiSimilarityLoss, NTXentLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
from torch import Tensor

from mirror.tuning.losses import decoupled_info_nce, info_nce, mean_cosine, multi_similarity

Loss = Callable[..., Tensor]


def at_tenth(loss: Loss) -> Loss:
    return lambda first, second, text_ids=None: loss(first, second, 0.1, text_ids)


LOSSES = {
    "info-nce": at_tenth(info_nce),
    "decoupled": at_tenth(decoupled_info_nce),
    "multi-similarity": multi_similarity,
}


@pytest.fixture(params=list(LOSSES))
def loss(request: pytest.FixtureRequest) -> Loss:
    return LOSSES[request.param]


@pytest.fixture(params=[0.04, 0.2])
def temperature(request: pytest.FixtureRequest) -> float:
    return float(request.param)


@pytest.fixture
def views() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(2)
    first = torch.randn(24, 16, generator=generator)
    second = first + 0.7 * torch.randn(24, 16, generator=generator)
    return first.requires_grad_(), second.requires_grad_()


def gradients(loss: Tensor, views: tuple[Tensor, Tensor]) -> Tensor:
    return torch.cat(torch.autograd.grad(loss, views))


def assert_same(ours: Tensor, theirs: Tensor, views: tuple[Tensor, Tensor]) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    expected = gradients(theirs, views)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(gradients(ours, views), expected, atol=1e-5, rtol=1e-5)


def test_info_nce_equals_the_official_loss(
    views: tuple[Tensor, Tensor], temperature: float
) -> None:
    labels = torch.arange(24).repeat(2)
    theirs = NTXentLoss(temperature=temperature)(torch.cat(views), labels)
    assert_same(info_nce(*views, temperature), theirs, views)


def test_info_nce_equals_that_of_sentence_transformers(
    views: tuple[Tensor, Tensor], temperature: float
) -> None:
    model: Any = torch.nn.Identity()
    ranking = MultipleNegativesRankingLoss(
        model, scale=1 / temperature, directions=("query_to_doc", "query_to_query")
    )
    labels = torch.empty(0)
    first, second = views
    theirs = (
        ranking.compute_loss_from_embeddings([first, second], labels)
        + ranking.compute_loss_from_embeddings([second, first], labels)
    ) / 2
    assert_same(info_nce(first, second, temperature), theirs, views)


def by_equation(
    views: tuple[Tensor, Tensor], text_ids: list[int], temperature: float, with_positive: bool
) -> Tensor:
    """Equation 1 anchor by anchor, `text_ids` of the 2N texts."""
    vectors = torch.nn.functional.normalize(torch.cat(views), dim=-1)
    exponentials = (vectors @ vectors.T / temperature).exp()
    anchors, losses = len(text_ids), []
    for anchor in range(anchors):
        positive = (anchor + anchors // 2) % anchors
        excluded = {text_ids[anchor], text_ids[positive]}
        others = [other for other in range(anchors) if text_ids[other] not in excluded]
        others += [positive] if with_positive else []
        losses.append(-(exponentials[anchor, positive] / exponentials[anchor, others].sum()).log())
    return torch.stack(losses).mean()


def test_decoupled_info_nce_is_the_papers_equation(
    views: tuple[Tensor, Tensor], temperature: float
) -> None:
    theirs = by_equation(views, [*range(24), *range(24)], temperature, with_positive=False)
    assert_same(decoupled_info_nce(*views, temperature), theirs, views)
    assert not torch.isclose(theirs, info_nce(*views, temperature), rtol=1e-3)


@pytest.mark.parametrize("with_positive", [True, False])
@pytest.mark.parametrize(
    ("count", "equal"),
    [
        (24, {5: 2}),
        # The question of pairs 1 and 4 is the same; the answer of pair 7 is the question of pair 9.
        (48, {4: 1, 24 + 7: 9}),
    ],
    ids=["pairs", "texts of both views"],
)
def test_equal_texts_are_not_each_others_negatives(
    views: tuple[Tensor, Tensor], with_positive: bool, count: int, equal: dict[int, int]
) -> None:
    objective = info_nce if with_positive else decoupled_info_nce
    text_ids = torch.tensor([equal.get(number, number) for number in range(count)])
    ours = objective(*views, 0.1, text_ids)
    both = (text_ids.tolist() * 2)[:48]
    assert_same(ours, by_equation(views, both, 0.1, with_positive), views)
    assert not torch.isclose(ours, objective(*views, 0.1))


def hard_triplets(views: tuple[Tensor, Tensor], margin: float) -> tuple[Tensor, Tensor, Tensor]:
    """SapBERT's miner."""
    miner = TripletMarginMiner(margin=margin, type_of_triplets="all")
    anchors, positives, negatives = miner(torch.cat(views), torch.arange(24).repeat(2))
    return anchors, positives, negatives


@pytest.mark.parametrize("margin", [0.2, 0.5, 3.0])
def test_multi_similarity_equals_pytorch_metric_learnings(
    views: tuple[Tensor, Tensor], margin: float
) -> None:
    triplets = hard_triplets(views, margin)
    possible = 48 * 46
    assert 0 < len(triplets[0]) <= possible
    assert (len(triplets[0]) == possible) == (margin == 3.0)
    theirs = MultiSimilarityLoss(alpha=1, beta=60, base=0.5)(
        torch.cat(views), torch.arange(24).repeat(2), triplets
    )
    assert_same(multi_similarity(*views, margin=margin), theirs, views)


def test_multi_similarity_excludes_equal_strings_from_negatives(
    views: tuple[Tensor, Tensor],
) -> None:
    first, second = views
    with torch.no_grad():
        second[5] = first[2] + 0.1
    text_ids = torch.arange(24)
    text_ids[5] = 2
    anchors, positives, negatives = hard_triplets(views, 0.2)
    hard = text_ids.repeat(2)[anchors] != text_ids.repeat(2)[negatives]
    assert not hard.all()
    triplets = anchors[hard], positives[hard], negatives[hard]
    theirs = MultiSimilarityLoss(alpha=1, beta=60, base=0.5)(
        torch.cat(views), torch.arange(24).repeat(2), triplets
    )
    assert_same(multi_similarity(first, second, text_ids), theirs, views)


def test_multi_similarity_without_hard_triplets_is_zero() -> None:
    vectors = torch.eye(8).requires_grad_()
    loss = multi_similarity(vectors, vectors * 2)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, vectors)[0].abs().max() == 0


def test_a_batch_of_equal_strings_has_no_loss(loss: Loss, views: tuple[Tensor, Tensor]) -> None:
    cost = loss(*views, torch.zeros(24, dtype=torch.long))
    assert cost.item() == 0
    assert gradients(cost, views).abs().max() == 0


def test_text_ids_that_all_differ_do_not_change_the_loss(
    loss: Loss, views: tuple[Tensor, Tensor]
) -> None:
    assert torch.equal(loss(*views, torch.arange(24) * 3), loss(*views))
    assert torch.equal(loss(*views, torch.arange(48)), loss(*views))


def test_a_wrong_number_of_text_ids_is_refused(loss: Loss, views: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(ValueError, match="23 text ids for 24 pairs"):
        loss(*views, torch.arange(23))


# Derandomised, as once in many thousand draws rounding moves a triplet across the margin.
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    kind=st.sampled_from(list(LOSSES)),
    pairs=st.integers(2, 12),
    kinds_of_text=st.integers(1, 20),
    seed=st.integers(0, 2**31),
)
def test_the_loss_does_not_depend_on_order_or_vector_length(
    kind: str, pairs: int, kinds_of_text: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, pairs, 6, generator=generator)
    text_ids = torch.randint(kinds_of_text, (2 * pairs,), generator=generator)
    cost = LOSSES[kind](first, second, text_ids)
    order = torch.randperm(pairs, generator=generator)
    shuffled = LOSSES[kind](
        first[order], second[order], text_ids[torch.cat([order, pairs + order])]
    )
    torch.testing.assert_close(shuffled, cost, atol=1e-5, rtol=1e-5)
    swapped = LOSSES[kind](second, first, text_ids.roll(pairs))
    torch.testing.assert_close(swapped, cost, atol=1e-5, rtol=1e-5)
    lengths = torch.rand(pairs, 1, generator=generator) + 0.5
    torch.testing.assert_close(
        LOSSES[kind](first * lengths, second, text_ids), cost, atol=1e-5, rtol=1e-5
    )


@settings(max_examples=25, deadline=None)
@given(pairs=st.integers(2, 12), seed=st.integers(0, 2**31))
def test_info_nce_is_at_least_decoupled_info_nce(pairs: int, seed: int) -> None:
    """An anchor costs log(1 + exp(x)) with it and x without; the first is convex in x."""
    first, second = torch.randn(2, pairs, 6, generator=torch.Generator().manual_seed(seed))
    with_positive = info_nce(first, second, 0.1)
    without = decoupled_info_nce(first, second, 0.1)
    assert max(0.0, without.item()) <= with_positive.item() + 1e-5
    assert torch.nn.functional.softplus(without).item() <= with_positive.item() + 1e-5


def test_info_nce_of_equal_vectors_is_the_logarithm_of_the_candidates() -> None:
    same = torch.ones(10, 4)
    assert info_nce(same, same, 0.04).item() == pytest.approx(math.log(19), abs=1e-5)
    assert decoupled_info_nce(same, same, 0.04).item() == pytest.approx(math.log(18), abs=1e-5)


def test_losses_are_computed_in_fp32_under_autocast(
    loss: Loss, views: tuple[Tensor, Tensor]
) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        under = loss(*views)
    assert under.dtype == torch.float32
    assert torch.equal(under, loss(*views))


def test_mean_cosine_is_that_of_all_pairs() -> None:
    vectors = torch.randn(12, 5, generator=torch.Generator().manual_seed(1))
    rows = torch.nn.functional.normalize(vectors, dim=-1)
    cosines = rows @ rows.T
    expected = cosines[~torch.eye(12, dtype=torch.bool)].mean().item()
    assert mean_cosine(vectors) == pytest.approx(expected, abs=1e-6)
    assert mean_cosine(torch.ones(5, 3)) == pytest.approx(1, abs=1e-6)
