"""The model that a run from scratch begins with."""

from __future__ import annotations

import torch
from transformers import BertConfig, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import TokenCorpus
from mirror.pretraining.word_vectors import word_vectors


def new_model(
    settings: PretrainingSettings, tokenizer: PreTrainedTokenizerBase, corpus: TokenCorpus | None
) -> PreTrainedModel:
    """A BERT of the settings' shape with random weights.

    Where the settings ask for word vectors, the embeddings start from those of `corpus`.
    """
    shape = settings.shape
    torch.manual_seed(settings.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=4 * shape.width,
        max_position_embeddings=shape.max_tokens,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForMaskedLM(config)
    if shape.word_vector_epochs and corpus is not None:
        vectors = word_vectors(
            corpus,
            vocabulary_size=len(tokenizer),
            width=shape.width,
            epochs=shape.word_vector_epochs,
            seed=settings.seed,
        )
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(vectors))
    return model
