"""The kinds of masked language model that can be tuned, and how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

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
    """What must be known of a kind of model, named as in its `config.json`."""

    dropouts: tuple[str, ...] = ("hidden_dropout_prob", "attention_probs_dropout_prob")
    """Keys of every dropout rate that acts in the encoder."""
    layer_count: str = "num_hidden_layers"
    layers: str = "encoder.layer"
    """Name of the module that holds the layers."""
    shared_layers: bool = False
    """Whether all layers are one set of weights."""
    reserved_positions: int = 0
    """Positions of the table that no token of a text gets."""
    has_pooler: bool = False
    """Whether the model comes with a pooler that we do without."""
    attention_output: str = "attention.output.dense"
    """How the names end of the modules that put the heads of each layer together again."""
    special_tokens: Mapping[str, str] = field(default_factory=lambda: BERT_TOKENS)
    """Used where a model's files do not name them."""

    def longest_text(self, positions: int) -> int:
        """The most tokens of a text that a model with so many positions takes."""
        return positions - self.reserved_positions


ROBERTA = Architecture(reserved_positions=2, has_pooler=True, special_tokens=ROBERTA_TOKENS)
ARCHITECTURES = {
    "bert": Architecture(has_pooler=True),
    "roberta": ROBERTA,
    "xlm-roberta": ROBERTA,
    "camembert": ROBERTA,
    "electra": Architecture(),
    "albert": Architecture(shared_layers=True, has_pooler=True, attention_output="attention.dense"),
    "distilbert": Architecture(
        dropouts=("dropout", "attention_dropout"),
        layer_count="n_layers",
        layers="transformer.layer",
        attention_output="attention.out_lin",
    ),
    "modernbert": Architecture(
        dropouts=("embedding_dropout", "attention_dropout", "mlp_dropout"),
        layers="layers",
        attention_output="attn.Wo",
    ),
}


def set_dropout(config: PretrainedConfig, rate: float) -> None:
    """Sets every dropout rate that acts in the encoder, whatever its name in this architecture.

    Without it ModernBERT and ALBERT, whose own rates are 0, would give two views that are equal.
    """
    for name in ARCHITECTURES[config.model_type].dropouts:
        setattr(config, name, rate)
