"""Last layer for the class token only, if pooling reads no other token.

Keys and values are computed for all tokens; queries and everything after attention, for the first.
With the usual feed-forward size of 4 × hidden, five sixths of the last layer's matrix products are
saved.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor
from torch.nn import functional

from mirror.encoders.architectures import ARCHITECTURES


def compute_cls_only(model: Any) -> None:
    """Make a model's last layer return (texts, 1, hidden size): the first token's row of each text.

    It is the row that the whole layer would return, with its gradients, except that dropout is
    drawn for this row only.  Unchanged without `cls_only`, as for shared layers (ALBERT).

    Args:
        model: of an architecture in `ARCHITECTURES`, without its language modelling head.
    """
    kind = ARCHITECTURES[model.config.model_type]
    if kind.cls_only is None:
        return
    number = int(getattr(model.config, kind.layer_count)) - 1
    layer = model.get_submodule(f"{kind.layers}.{number}")
    layer.forward = partial(_FORWARDS[kind.cls_only], layer)


def _bert(layer: Any, hidden: Tensor, mask: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
    attention, first = layer.attention.self, hidden[:, :1]
    states = attention.query(first), attention.key(hidden), attention.value(hidden)
    query, key, value = (_by_head(part, attention.attention_head_size) for part in states)
    context = _attend(query, key, value, mask, attention.dropout.p if layer.training else 0.0)
    output: Tensor = layer.feed_forward_chunk(layer.attention.output(context, first))
    return output


def _distilbert(layer: Any, hidden: Tensor, attention_mask: Tensor | None, **_: Any) -> Tensor:
    attention, first = layer.attention, hidden[:, :1]
    states = attention.q_lin(first), attention.k_lin(hidden), attention.v_lin(hidden)
    query, key, value = (_by_head(part, attention.attention_head_size) for part in states)
    rate = attention.dropout.p if layer.training else 0.0
    context = _attend(query, key, value, attention_mask, rate)
    first = layer.sa_layer_norm(attention.out_lin(context) + first)
    output: Tensor = layer.output_layer_norm(layer.ffn(first) + first)
    return output


def _mpnet(
    layer: Any, hidden: Tensor, mask: Tensor | None, position_bias: Tensor, **_: Any
) -> tuple[Tensor]:
    attention, first = layer.attention.attn, hidden[:, :1]
    states = attention.q(first), attention.k(hidden), attention.v(hidden)
    query, key, value = (_by_head(part, attention.attention_head_size) for part in states)
    rate = attention.dropout.p if layer.training else 0.0
    row = position_bias[:, :, :1]
    context = _attend(query, key, value, row if mask is None else row + mask[:, :, :1], rate)
    first = layer.attention.LayerNorm(layer.attention.dropout(attention.o(context)) + first)
    return (layer.output(layer.intermediate(first), first),)


def _modernbert(
    layer: Any,
    hidden: Tensor,
    attention_mask: Tensor | None,
    position_embeddings: tuple[Tensor, Tensor],
    **_: Any,
) -> Tensor:
    from transformers.models.modernbert.modeling_modernbert import apply_rotary_pos_emb

    attention = layer.attn
    states = attention.Wqkv(layer.attn_norm(hidden))  # query, key and value in one matrix
    query, key, value = (_by_head(part, attention.head_dim) for part in states.chunk(3, dim=-1))
    query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
    rate = attention.attention_dropout if layer.training else 0.0
    context = _attend(query[:, :, :1], key, value, attention_mask, rate)
    first = hidden[:, :1] + attention.out_drop(attention.Wo(context))
    output: Tensor = first + layer.mlp(layer.mlp_norm(first))
    return output


_FORWARDS: dict[str, Callable[..., Tensor | tuple[Tensor]]] = {
    "bert": _bert,
    "distilbert": _distilbert,
    "modernbert": _modernbert,
    "mpnet": _mpnet,
}


def _by_head(states: Tensor, size: int) -> Tensor:
    """Reshape (texts, tokens, heads * size) to (texts, heads, tokens, size)."""
    return states.view(*states.shape[:-1], -1, size).transpose(1, 2)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, rate: float) -> Tensor:
    """Return the attention output of the first token, (texts, 1, heads * size)."""
    row = None if mask is None else mask[:, :, :1]
    context = functional.scaled_dot_product_attention(query, key, value, row, rate)
    return context.transpose(1, 2).flatten(2)
