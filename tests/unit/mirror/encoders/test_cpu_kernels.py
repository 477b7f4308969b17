from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from mirror.encoders import cpu_kernels
from mirror.encoders.cpu_kernels import (
    MANY_ROWS,
    FastCpuOps,
    OneDnnLinear,
    bf16_copies,
    cpu_ops,
)
from mirror.encoders.encoder import MAX_PADDING, Encoder


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_dropout_leaves_out_its_rate_and_scales_the_rest(rate: float, kind: torch.dtype) -> None:
    ones = torch.ones(1_000, 301, dtype=kind)
    with FastCpuOps(5):
        dropped = functional.dropout(ones, rate)
    kept = dropped[dropped != 0]
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.004)
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))
    in_row = (dropped == 0).float().mean(1)
    assert in_row.std().item() == pytest.approx((rate * (1 - rate) / 301) ** 0.5, rel=0.15)


def test_what_is_left_out_follows_from_the_seed_alone() -> None:
    ones = torch.ones(50, 50)
    drawn = []
    for seed in (1, 1, 2):
        torch.rand(7)  # torch's own generator moves on
        with FastCpuOps(seed):
            drawn.append((functional.dropout(ones, 0.5), functional.dropout(ones, 0.5)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_gradients_pass_where_values_do() -> None:
    values = torch.randn(20, 20, requires_grad=True)
    with FastCpuOps(3):
        dropped = functional.dropout(values, 0.3)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())


def test_nothing_is_left_out_of_a_model_that_is_not_in_training() -> None:
    values = torch.randn(5, 5)
    with FastCpuOps(3):
        assert torch.equal(functional.dropout(values, 0.5, training=False), values)
        assert torch.equal(functional.dropout(values, 0.0), values)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 3), tokens=st.integers(1, 9), kind=st.sampled_from(["none", "bool", "add"])
)
def test_attention_is_torchs_own(rows: int, tokens: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(tokens)
    query, key, value = torch.randn(3, rows, 2, tokens, 8, generator=generator)
    seen = torch.rand(rows, 1, tokens, tokens, generator=generator) < 0.7
    seen[..., 0] = True
    added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    mask = {"none": None, "bool": seen, "add": added}[kind]
    expected = functional.scaled_dot_product_attention(query, key, value, mask)
    with FastCpuOps(3):
        found = functional.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_token_that_sees_nothing_gives_numbers_all_the_same(kind: torch.dtype) -> None:
    values = torch.randn(1, 1, 4, 8).to(kind)
    nothing = torch.full((1, 1, 4, 4), torch.finfo(torch.float32).min)
    for mask in (nothing, nothing == 0):
        with FastCpuOps(3):
            made = functional.scaled_dot_product_attention(values, values, values, mask)
        assert made.isfinite().all()


def test_linear_layers_are_computed_as_under_autocast(
    tiny_base: Path, sentences: list[str]
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 20)
    rows = encoder.token_ids(sentences[:30])
    with torch.autocast("cpu", torch.bfloat16):
        expected = encoder.vectors(rows)
    shadows = {id(own): shadow for own, shadow in bf16_copies(encoder.model).items()}
    slices = encoder.microbatches(rows, 4_096)
    parts = [
        encoder.forward(part, cut, 1, shadows)
        for part, cut in zip(encoder.embed_tokens(slices), slices, strict=True)
    ]
    found = encoder.restore_order(parts, slices)
    exact = encoder.vectors(rows)
    assert not torch.equal(found, exact)
    assert (found - exact).norm() < 1.5 * (expected - exact).norm()


@pytest.mark.parametrize("shape", [(3, 8), (300, 8), (10, 31, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_quick_products_are_torchs_own(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(1)
    layer, values = nn.Linear(8, 5, bias=bias), torch.randn(shape)
    apart = values.transpose(0, 1).contiguous().transpose(0, 1)
    with torch.inference_mode():
        expected = layer(values)
        with torch.autograd.profiler.profile() as asked, OneDnnLinear():
            found, of_apart = layer(values), layer(apart)
    names = {event.name for event in asked.function_events}
    assert ("mkldnn::_linear_pointwise" in names) is (values.numel() >= MANY_ROWS * 8)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(of_apart, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("slow", [True, False])
def test_products_are_quick_where_no_gradient_is_asked_for(
    slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_kernels, "mkl_is_slow", lambda: slow)
    cpu = torch.device("cpu")
    assert not isinstance(cpu_ops(cpu, None, None), OneDnnLinear)
    with torch.inference_mode():
        assert isinstance(cpu_ops(cpu, None, None), OneDnnLinear) is slow
        assert isinstance(cpu_ops(cpu, 1, None), FastCpuOps)


def test_quick_products_give_an_encoders_vectors(
    any_base: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_PADDING, "cpu", 10_000)
    encoder = Encoder.load(any_base, "mean", device="cpu")
    [cut] = encoder.microbatches(encoder.token_ids(sentences[:40]), 1 << 20)
    found = []
    with torch.inference_mode():
        for context in (nullcontext(), OneDnnLinear()):
            with context:
                output = encoder.model(input_ids=cut.ids, attention_mask=cut.mask)
            found.append(output.last_hidden_state)
    assert cut.ids.numel() > MANY_ROWS
    torch.testing.assert_close(*found, atol=2e-5, rtol=1e-5)
