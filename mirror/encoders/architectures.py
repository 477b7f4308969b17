"""Architectures of masked language models that can be tuned: a registry by `model_type`.

To add one, add an entry to `ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from transformers import PretrainedConfig

BERT_TOKENS = {
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
    "unk_token": "[UNK]",
}
ROBERTA_TOKENS = {
    "cls_token": "<s>",
    "sep_token": "</s>",
    "mask_token": "<mask>",
    "unk_token": "<unk>",
}
EUROBERT_TOKENS = {
    "cls_token": "<|begin_of_text|>",
    "sep_token": "<|end_of_text|>",
    "mask_token": "<|mask|>",
}
BERT_LAYER = "attention self query key value output dense LayerNorm intermediate"
GATED_LAYER = "self_attn mlp q_proj k_proj v_proj o_proj gate_proj up_proj down_proj"


@dataclass(frozen=True)
class Architecture:
    """Properties of an architecture; names are those of its `config.json`."""

    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    """Names of all dropout rates of the encoder."""
    layer_count: str = "num_hidden_layers"
    activation: str = "hidden_act"
    layers: str = "encoder.layer"
    """Name of the module that holds the layers."""
    shared_layers: bool = False
    """Whether all layers are one set of weights."""
    layer_parts: str = BERT_LAYER
    """The modules of a layer, separated by blanks; other weights would be left out."""
    positions: tuple[str, ...] = ("absolute",)
    """Values of `position_embedding_type` that say what transformers computes; the first is the
    default."""
    counts_from_padding: bool = False
    """Whether a text's positions start after the padding token's id, as in RoBERTa; tokens with
    that id have it as their position and are not counted."""
    fixed_pad_id: int | None = None
    """The padding token's id if the configuration does not decide it."""
    has_pooler: bool = False
    """Whether transformers gives the model a pooler, which is left out."""
    attention_output: str = "attention.output.dense"
    """End of the names of the modules that merge the attention heads of each layer."""
    cls_only: Literal["bert", "distilbert", "modernbert", "mpnet"] | None = None
    """Which function of `cls_only_layer` computes the last layer for the class token only; None
    computes the whole layer, with the same vectors."""
    replaces_code: bool = False
    """Whether published models name code of their own (`auto_map`) that transformers has taken
    over: its class is used, and theirs is never run."""
    special_tokens: Mapping[str, str] = field(default_factory=lambda: BERT_TOKENS)
    """Used if a model's files do not name them."""

    def pad_id(self, configured: int | None) -> int:
        """Return the id of the token that positions are counted from."""
        return self.fixed_pad_id if self.fixed_pad_id is not None else configured or 0

    def longest_text(self, positions: int, configured_pad_id: int | None) -> int:
        """Return the most tokens of a text that a model with so many positions takes."""
        reserved = self.pad_id(configured_pad_id) + 1 if self.counts_from_padding else 0
        return positions - reserved


ROBERTA = Architecture(
    counts_from_padding=True, has_pooler=True, cls_only="bert", special_tokens=ROBERTA_TOKENS
)
GATED = Architecture(
    layers="layers",
    # Published files have the names of the code that came with them.
    layer_parts=f"{GATED_LAYER} input_layernorm post_attention_layernorm post_mlp_layernorm "
    "attn out_proj Wqkv fc11 fc12 fc2 norm1 norm2 attention qkv_proj attn_ln mlp_ln up_gate_proj",
    attention_output="self_attn.o_proj",
    positions=("rope", "rotary", "absolute"),
    replaces_code=True,
)
ARCHITECTURES = {
    "bert": Architecture(has_pooler=True, cls_only="bert"),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": Architecture(cls_only="bert"),
    "albert": Architecture(
        shared_layers=True,
        layer_parts="attention query key value dense LayerNorm ffn ffn_output "
        "full_layer_layer_norm",
        has_pooler=True,
        attention_output="attention.dense",
    ),
    "distilbert": Architecture(
        dropouts=("dropout", "attention_dropout"),
        layer_count="n_layers",
        activation="activation",
        layers="transformer.layer",
        layer_parts="attention q_lin k_lin v_lin out_lin sa_layer_norm ffn lin1 lin2 "
        "output_layer_norm",
        attention_output="attention.out_lin",
        cls_only="distilbert",
    ),
    "mpnet": Architecture(
        counts_from_padding=True,
        fixed_pad_id=1,
        layer_parts="attention attn q k v o LayerNorm intermediate dense output",
        has_pooler=True,
        attention_output="attention.attn.o",
        cls_only="mpnet",
        special_tokens={**ROBERTA_TOKENS, "unk_token": "[UNK]"},
    ),
    "modernbert": Architecture(
        dropouts=("embedding_dropout", "attention_dropout", "mlp_dropout"),
        activation="hidden_activation",
        layers="layers",
        layer_parts="attn Wqkv Wo attn_norm mlp Wi mlp_norm",
        positions=("absolute", "rope", "sans_pos"),
        attention_output="attn.Wo",
        cls_only="modernbert",
    ),
    "deberta-v2": Architecture(
        layer_parts=f"{BERT_LAYER} query_proj key_proj value_proj pos_key_proj pos_query_proj"
    ),
    "nomic_bert": GATED,
    "gte": replace(GATED, special_tokens=ROBERTA_TOKENS),
    # Dropout acts on attention only: the architecture has no other.
    "eurobert": replace(GATED, dropouts=("attention_dropout",), special_tokens=EUROBERT_TOKENS),
}


def set_dropout(config: PretrainedConfig, rate: float) -> None:
    """Set every dropout rate that acts in the encoder, by its name in this architecture.

    ModernBERT and ALBERT have rates of 0, with which both views of a text would be equal.
    """
    for name in ARCHITECTURES[config.model_type].dropouts:
        setattr(config, name, rate)


def model_positions(config: PretrainedConfig, ids: Any) -> dict[str, Any]:
    """Return the model's argument `position_ids`, (texts, tokens), if it is not the tokens' order.

    transformers derives the same from ids, but not from embeddings.

    Args:
        config: the model's.
        ids: a tensor (texts, tokens).
    """
    kind = ARCHITECTURES[config.model_type]
    if not kind.counts_from_padding:
        return {}
    pad_id = kind.pad_id(config.pad_token_id)
    counted = ids != pad_id
    return {"position_ids": counted.cumsum(1) * counted + pad_id}
