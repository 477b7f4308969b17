from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from transformers import AutoModel, AutoModelForMaskedLM, BertConfig, BertModel

from mirror.errors import BaseModelError
from mirror.tuning.drophead import attach_drophead, head_weights

IDS = torch.arange(6, 18).view(2, 6)
CPU = torch.device("cpu")


def load(base: Path, attention: str | None = None) -> Any:
    return AutoModel.from_pretrained(base, attn_implementation=attention).train()


@torch.no_grad()
def states(model: Any, seed: int = 0) -> Tensor:
    torch.manual_seed(seed)
    output: Tensor = model(IDS).last_hidden_state
    return output


def first_projection(model: Any, ending: str = "attention.output.dense") -> nn.Linear:
    projection = next(module for name, module in model.named_modules() if name.endswith(ending))
    assert isinstance(projection, nn.Linear)
    return projection


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.5, 0.95])
def test_the_expected_weight_of_each_head_is_one(rate: float) -> None:
    torch.manual_seed(0)
    weights = head_weights(200_000, 4, rate, CPU)
    deviations = weights.std(0) / 200_000**0.5
    assert ((weights.mean(0) - 1).abs() < 4 * deviations).all()


@pytest.mark.parametrize("rate", [0.2, 0.5])
def test_heads_remain_at_the_rate_and_at_least_one_does(rate: float) -> None:
    torch.manual_seed(0)
    remaining = (head_weights(200_000, 3, rate, CPU) > 0).sum(1)
    shares = torch.bincount(remaining, minlength=4) / 200_000
    none, one = rate**3, 3 * rate**2 * (1 - rate)
    expected = [0, none + one, 3 * rate * (1 - rate) ** 2, (1 - rate) ** 3]
    torch.testing.assert_close(shares, torch.tensor(expected), atol=0.005, rtol=0)


@settings(max_examples=30, deadline=None)
@given(
    texts=st.integers(1, 50),
    heads=st.integers(1, 16),
    rate=st.floats(0, 0.99),
    seed=st.integers(0, 2**31),
)
def test_weights_are_zero_or_equal_and_sum_to_the_number_of_heads(
    texts: int, heads: int, rate: float, seed: int
) -> None:
    torch.manual_seed(seed)
    weights = head_weights(texts, heads, rate, CPU)
    assert weights.shape == (texts, heads)
    torch.testing.assert_close(weights.sum(1), torch.full((texts,), float(heads)))
    remaining = (weights > 0).sum(1, keepdim=True)
    assert remaining.min() >= 1
    torch.testing.assert_close(weights, (weights > 0) * (heads / remaining))


def test_the_expected_output_of_a_projection_is_that_without_drophead() -> None:
    config = BertConfig(hidden_size=24, num_attention_heads=4, num_hidden_layers=1, vocab_size=9)
    torch.manual_seed(1)
    model = BertModel(config).train()
    projection = first_projection(model)
    inputs = torch.randn(1, 5, 24).expand(60_000, 5, 24)
    with torch.no_grad():
        plain = projection(inputs[:1])[0]
        attach_drophead(model, 0.4)
        dropped = projection(inputs)
    deviations = dropped.std(0) / 60_000**0.5
    assert deviations.min() > 0
    assert ((dropped.mean(0) - plain).abs() < 5 * deviations).all()


def test_the_same_heads_are_dropped_for_all_tokens_of_a_text() -> None:
    config = BertConfig(hidden_size=24, num_attention_heads=4, num_hidden_layers=1, vocab_size=9)
    model = BertModel(config).train()
    projection = first_projection(model)
    with torch.no_grad():
        projection.weight.copy_(torch.eye(24))
        projection.bias.zero_()
    attach_drophead(model, 0.5)
    torch.manual_seed(2)
    output = projection(torch.ones(40, 7, 24)).view(40, 7, 4, 6)
    assert torch.equal(output, output[:, :1, :, :1].expand_as(output))
    patterns = {tuple((row > 0).tolist()) for row in output[:, 0, :, 0]}
    assert len(patterns) > 8
    assert (False,) * 4 not in patterns


def test_every_architecture_has_one_projection_for_each_layer(any_base: Path) -> None:
    model = load(any_base)
    layers = 1 if model.config.model_type == "albert" else model.config.num_hidden_layers
    assert len(attach_drophead(model, 0.5)) == layers
    of_mask_model = AutoModelForMaskedLM.from_pretrained(any_base)
    assert len(attach_drophead(of_mask_model, 0.5)) == layers


def test_two_passes_in_training_differ_in_every_architecture(any_base: Path) -> None:
    model = load(any_base)
    plain = states(model, 0)
    assert torch.equal(plain, states(model, 1))
    attach_drophead(model, 0.5)
    dropped = [states(model, seed) for seed in range(4)]
    assert not torch.equal(dropped[0], dropped[1])
    assert all(torch.isfinite(output).all() for output in dropped)
    assert torch.equal(states(model, 0), dropped[0])


def test_evaluation_and_removal_restore_the_model_in_every_architecture(
    any_base: Path,
) -> None:
    model = load(any_base)
    plain = states(model)
    handles = attach_drophead(model, 0.9)
    assert torch.equal(states(model.eval()), plain)
    assert not torch.equal(states(model.train()), plain)
    for handle in handles:
        handle.remove()
    assert torch.equal(states(model), plain)


def test_eager_and_fused_attention_drop_the_same_heads(any_base: Path) -> None:
    eager, fused = load(any_base, "eager"), load(any_base)
    attach_drophead(eager, 0.5)
    attach_drophead(fused, 0.5)
    torch.testing.assert_close(states(eager), states(fused), atol=1e-4, rtol=1e-4)


def test_a_dropped_head_gets_no_gradient(tiny_base: Path) -> None:
    model = load(tiny_base)
    projection = first_projection(model)
    attach_drophead(model, 0.9)
    torch.manual_seed(4)
    model(IDS[:1]).last_hidden_state.square().sum().backward()
    assert projection.weight.grad is not None
    by_head = projection.weight.grad.unflatten(1, (2, -1)).abs().amax(dim=(0, 2))
    assert sorted((by_head > 0).tolist()) == [False, True]


def test_at_rate_0_no_head_is_dropped(tiny_base: Path) -> None:
    model = load(tiny_base)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
    plain = states(model)
    attach_drophead(model, 0.0)
    assert torch.equal(states(model), plain)


def test_a_bf16_model_stays_in_bf16(any_base: Path) -> None:
    model = load(any_base).to(torch.bfloat16)
    attach_drophead(model, 0.5)
    assert states(model).dtype == torch.bfloat16


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_rates_outside_0_to_1_are_refused(tiny_base: Path, rate: float) -> None:
    with pytest.raises(ValueError, match="at least 0 and below 1"):
        attach_drophead(load(tiny_base), rate)


def test_a_model_without_the_architectures_projection_is_refused(tiny_base: Path) -> None:
    model = load(tiny_base)
    model.config.model_type = "modernbert"
    with pytest.raises(BaseModelError, match=r"no module of this modernbert .* \.attn\.Wo"):
        attach_drophead(model, 0.2)
