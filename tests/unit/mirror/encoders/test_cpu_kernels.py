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
from tests.fixtures.encoders import pooled_vectors


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rate", [0.05, 0.1, 0.5, 0.9])
def test_dropout_zeroes_its_rate_and_scales_the_rest(rate: float, kind: torch.dtype) -> None:
    ones = torch.ones(1_000, 301, dtype=kind)
    with FastCpuOps(5):
        dropped = functional.dropout(ones, rate)
    nonzero = dropped[dropped != 0]
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.004)
    torch.testing.assert_close(nonzero, torch.full_like(nonzero, 1 / (1 - rate)))
    in_row = (dropped == 0).float().mean(1)
    assert in_row.std().item() == pytest.approx((rate * (1 - rate) / 301) ** 0.5, rel=0.15)


def test_dropout_depends_only_on_the_seed() -> None:
    ones = torch.ones(50, 50)
    drawn = []
    for seed in (1, 1, 2):
        torch.rand(7)  # advances torch's generator
        with FastCpuOps(seed):
            drawn.append((functional.dropout(ones, 0.5), functional.dropout(ones, 0.5)))
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert torch.equal(drawn[0][1], drawn[1][1])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert not torch.equal(drawn[0][0], drawn[0][1])


def test_gradients_are_dropped_where_values_are() -> None:
    values = torch.randn(20, 20, requires_grad=True)
    with FastCpuOps(3):
        dropped = functional.dropout(values, 0.3)
    dropped.sum().backward()
    assert values.grad is not None
    torch.testing.assert_close(values.grad * values.detach(), dropped.detach())


def test_there_is_no_dropout_outside_training() -> None:
    values = torch.randn(5, 5)
    with FastCpuOps(3):
        assert torch.equal(functional.dropout(values, 0.5, training=False), values)
        assert torch.equal(functional.dropout(values, 0.0), values)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 3), tokens=st.integers(1, 9), kind=st.sampled_from(["none", "bool", "add"])
)
def test_attention_equals_torchs(rows: int, tokens: int, kind: str) -> None:
    generator = torch.Generator().manual_seed(tokens)
    query, key, value = torch.randn(3, rows, 2, tokens, 8, generator=generator)
    seen = torch.rand(rows, 1, tokens, tokens, generator=generator) < 0.7
    seen[..., 0] = True
    added = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
    mask = {"none": None, "bool": seen, "add": added}[kind]
    expected = functional.scaled_dot_product_attention(query, key, value, mask)
    with FastCpuOps(3):
        output = functional.scaled_dot_product_attention(query, key, value, mask)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


def test_attention_with_shared_keys_and_values_equals_torchs() -> None:
    query, key = torch.randn(2, 6, 5, 8), torch.randn(2, 3, 5, 8)
    expected = functional.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    with FastCpuOps(3):
        output = functional.scaled_dot_product_attention(query, key, key, enable_gqa=True)
    torch.testing.assert_close(output, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_a_fully_masked_token_has_finite_output(kind: torch.dtype) -> None:
    values = torch.randn(1, 1, 4, 8).to(kind)
    all_masked = torch.full((1, 1, 4, 4), torch.finfo(torch.float32).min)
    for mask in (all_masked, all_masked == 0):
        with FastCpuOps(3):
            output = functional.scaled_dot_product_attention(values, values, values, mask)
        assert output.isfinite().all()


def test_bf16_linear_layers_are_as_exact_as_autocast(any_base: Path, sentences: list[str]) -> None:
    encoder = Encoder.load(any_base, "mean", 20)
    rows = encoder.token_ids(sentences[:30])
    with torch.autocast("cpu", torch.bfloat16):
        expected = pooled_vectors(encoder, rows)
    shadows = {id(weight): shadow for weight, shadow in bf16_copies(encoder.model).items()}
    in_bf16 = pooled_vectors(encoder, rows, seed=1, shadows=shadows)
    exact = pooled_vectors(encoder, rows)
    assert not torch.equal(in_bf16, exact)
    assert (in_bf16 - exact).norm() < 1.5 * (expected - exact).norm()


@pytest.mark.parametrize("shape", [(3, 8), (300, 8), (10, 31, 8)])
@pytest.mark.parametrize("bias", [True, False])
def test_onednn_linear_equals_torchs(shape: tuple[int, ...], bias: bool) -> None:
    torch.manual_seed(1)
    layer, values = nn.Linear(8, 5, bias=bias), torch.randn(shape)
    strided = values.transpose(0, 1).contiguous().transpose(0, 1)
    with torch.inference_mode():
        expected = layer(values)
        with torch.autograd.profiler.profile() as profile, OneDnnLinear():
            output, strided_output = layer(values), layer(strided)
    names = {event.name for event in profile.function_events}
    assert ("mkldnn::_linear_pointwise" in names) is (values.numel() >= MANY_ROWS * 8)
    assert output.shape == expected.shape
    torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(strided_output, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("slow", [True, False])
def test_onednn_is_used_without_gradients_where_mkl_is_slow(
    slow: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu_kernels, "mkl_is_slow", lambda: slow)
    cpu = torch.device("cpu")
    assert not isinstance(cpu_ops(cpu, None, None), OneDnnLinear)
    with torch.inference_mode():
        assert isinstance(cpu_ops(cpu, None, None), OneDnnLinear) is slow
        assert isinstance(cpu_ops(cpu, 1, None), FastCpuOps)


def test_onednn_gives_the_same_hidden_states(
    any_base: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MAX_PADDING, "cpu", 10_000)
    encoder = Encoder.load(any_base, "mean", device="cpu")
    [microbatch] = encoder.microbatches(encoder.token_ids(sentences[:40]), 1 << 20)
    hidden = []
    with torch.inference_mode():
        for context in (nullcontext(), OneDnnLinear()):
            with context:
                output = encoder.model(input_ids=microbatch.ids, attention_mask=microbatch.mask)
            hidden.append(output.last_hidden_state)
    assert microbatch.ids.numel() > MANY_ROWS
    torch.testing.assert_close(*hidden, atol=2e-5, rtol=1e-5)
