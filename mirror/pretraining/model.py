"""Starting point of a pretraining run: first weights, tokenizer and tokenized corpus."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from mirror.encoders.model_loading import quiet_transformers
from mirror.errors import BaseModelError, InputError, TokenizerError
from mirror.paths import local_path
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.dataset import TokenCorpus, read_texts, write_token_corpus
from mirror.pretraining.objective import masked_head
from mirror.progress import OnProgress, no_progress
from mirror.store import safetensors_errors_as_os_errors

log = logging.getLogger(__name__)

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
STANDARD_DEVIATION = 0.04
"""Of token embeddings that are initialised by word2vec."""


def write_pieces(
    settings: PretrainingSettings, out: Path, on_progress: OnProgress = no_progress
) -> Mapping[str, Any]:
    """Write the starting model to `out/start` and the tokenized corpus to `out`.

    Returns:
        Counts of tokens, paragraphs, sentences and the vocabulary.
    """
    if settings.base is None:
        tokenizer = _new_tokenizer(settings, on_progress)
        corpus = write_token_corpus(read_texts(settings, on_progress), tokenizer, out)
        model = new_model(settings, tokenizer, corpus)
    else:
        # First the base, so that its faults show before the corpus is encoded, which takes long.
        tokenizer, model = _read_base(
            local_path(settings.base, Path.is_dir), new_head=settings.new_head
        )
        corpus = write_token_corpus(read_texts(settings, on_progress), tokenizer, out)
    with safetensors_errors_as_os_errors():
        model.float().save_pretrained(out / "start")
    tokenizer.save_pretrained(out / "start")
    return {
        "pieces": corpus.size,
        "paragraphs": len(corpus.paragraph_starts) - 1,
        "sentences": len(corpus.sentence_starts) - 1,
        "vocabulary": len(tokenizer),
    }


def _new_tokenizer(
    settings: PretrainingSettings, on_progress: OnProgress
) -> PreTrainedTokenizerBase:
    shape = settings.shape
    return train_wordpiece(
        read_texts(settings, on_progress),
        size=shape.vocabulary_size,
        lowercase=shape.lowercase,
        max_tokens=shape.max_tokens,
    )


def _read_base(folder: Path, *, new_head: bool) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    with quiet_transformers():
        model, report = AutoModelForMaskedLM.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    masked_head(model)
    if missing := sorted(report["missing_keys"]):
        problem = (
            f"the base in {folder} has no masked-language head ({missing[0]} is missing), as "
            "encoders of sentences lack it: a random one is trained with it, which can spoil it"
        )
        if not new_head:
            raise BaseModelError(
                f"{problem}; name the base in a recipe to tune it as it is, or set new_head = true"
            )
        log.warning("%s", problem)
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False
    )
    return tokenizer, model


def new_model(
    settings: PretrainingSettings, tokenizer: PreTrainedTokenizerBase, corpus: TokenCorpus | None
) -> PreTrainedModel:
    """Return a BERT of the settings' shape with random weights.

    If the settings ask for word vectors, token embeddings are initialised by word2vec on `corpus`.
    """
    shape = settings.shape
    torch.manual_seed(settings.seed)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.num_layers,
        num_attention_heads=shape.num_heads,
        intermediate_size=4 * shape.hidden_size,
        max_position_embeddings=shape.max_tokens,
        hidden_dropout_prob=settings.dropout,
        attention_probs_dropout_prob=settings.dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = BertForMaskedLM(config)
    if shape.word_vector_epochs and corpus is not None:
        vectors = train_word_vectors(
            corpus,
            vocabulary_size=len(tokenizer),
            dimension=shape.hidden_size,
            epochs=shape.word_vector_epochs,
            seed=settings.seed,
        )
        with torch.no_grad():
            model.bert.embeddings.word_embeddings.weight.copy_(torch.from_numpy(vectors))
    return model


def train_word_vectors(
    corpus: TokenCorpus, *, vocabulary_size: int, dimension: int, epochs: int, seed: int
) -> NDArray[np.float32]:
    """Train skip-gram vectors (Mikolov et al. 2013), centred, with standard deviation 0.04.

    Tokens seen fewer than five times get random vectors.  gensim has one worker, because only
    then do equal seeds give equal vectors.

    Returns:
        An array (vocabulary_size, dimension).
    """
    try:
        from gensim.models import Word2Vec
    except ModuleNotFoundError as error:
        raise InputError(
            "word vectors need gensim, which is not installed: `pip install -e .[pretrain]`, "
            "or set word_vector_epochs = 0"
        ) from error
    model = Word2Vec(
        _Paragraphs(corpus),
        vector_size=dimension,
        window=5,
        min_count=5,
        sg=1,
        negative=8,
        sample=1e-4,
        epochs=epochs,
        workers=1,
        seed=seed,
    )
    table = np.random.default_rng(seed).normal(size=(vocabulary_size, dimension)).astype(np.float32)
    vectors = model.wv.vectors - model.wv.vectors.mean(axis=0)
    table[[int(token) for token in model.wv.index_to_key]] = vectors / vectors.std()
    return table * np.float32(STANDARD_DEVIATION)


class _Paragraphs:
    """The corpus in the form that gensim expects: paragraphs as lists of strings."""

    def __init__(self, corpus: TokenCorpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[list[str]]:
        for first, last in pairwise(self._corpus.paragraph_starts):
            yield [str(token) for token in self._corpus.tokens[first : last - 1].tolist()]


def train_wordpiece(
    texts: Iterable[str], *, size: int, lowercase: bool, max_tokens: int
) -> PreTrainedTokenizerFast:
    """Train a BERT tokenizer.

    A new tokenizer has no post-processor and silently omits `[CLS]` and `[SEP]`: one is set, and
    checked.
    """
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase, strip_accents=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() < len(SPECIAL_TOKENS) + 26:
        raise TokenizerError(
            f"the corpus gives a vocabulary of only {tokenizer.get_vocab_size()} tokens: add text"
        )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    return _wrap(tokenizer, max_tokens)


def _wrap(tokenizer: Tokenizer, max_tokens: int) -> PreTrainedTokenizerFast:
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_tokens,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    ids = wrapped("a")["input_ids"]
    if ids[0] != wrapped.cls_token_id or ids[-1] != wrapped.sep_token_id:
        raise TokenizerError(
            "the trained tokenizer does not add [CLS] and [SEP]: install the tokenizers of "
            "constraints.txt"
        )
    return wrapped
