"""Architectures of masked language models that can be tuned: a registry by `model_type`.

To add one, add an entry to `ARCHITECTURES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

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


@dataclass(frozen=True)
class Architecture:
    """Properties of an architecture; names are those of its `config.json`."""

    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    """Names of all dropout rates of the encoder."""
    layer_count: str = "num_hidden_layers"
    layers: str = "encoder.layer"
    """Name of the module that holds the layers."""
    shared_layers: bool = False
    """Whether all layers are one set of weights."""
    reserved_positions: int = 0
    """Rows of the position embeddings that no token of a text gets."""
    has_pooler: bool = False
    """Whether transformers gives the model a pooler, which is left out."""
    attention_output: str = "attention.output.dense"
    """End of the names of the modules that merge the attention heads of each layer."""
    cls_only: Literal["bert", "distilbert", "modernbert"] | None = None
    """Which function of `cls_only_layer` computes the last layer for the class token only; None
    computes the whole layer, with the same vectors."""
    special_tokens: Mapping[str, str] = field(default_factory=lambda: BERT_TOKENS)
    """Used if a model's files do not name them."""

    def longest_text(self, positions: int) -> int:
        """Return the most tokens of a text that a model with so many positions takes."""
        return positions - self.reserved_positions


ROBERTA = Architecture(
    reserved_positions=2, has_pooler=True, cls_only="bert", special_tokens=ROBERTA_TOKENS
)
ARCHITECTURES = {
    "bert": Architecture(has_pooler=True, cls_only="bert"),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": Architecture(cls_only="bert"),
    "albert": Architecture(shared_layers=True, has_pooler=True, attention_output="attention.dense"),
    "distilbert": Architecture(
        dropouts=("dropout", "attention_dropout"),
        layer_count="n_layers",
        layers="transformer.layer",
        attention_output="attention.out_lin",
        cls_only="distilbert",
    ),
    "modernbert": Architecture(
        dropouts=("embedding_dropout", "attention_dropout", "mlp_dropout"),
        layers="layers",
        attention_output="attn.Wo",
        cls_only="modernbert",
    ),
}


def set_dropout(config: PretrainedConfig, rate: float) -> None:
    """Set every dropout rate that acts in the encoder, by its name in this architecture.

    ModernBERT and ALBERT have rates of 0, with which both views of a text would be equal.
    """
    for name in ARCHITECTURES[config.model_type].dropouts:
        setattr(config, name, rate)
