"""WordPiece tokenizer trained on raw text."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from mirror.errors import TokenizerError

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def train_wordpiece(
    texts: Iterable[str], *, size: int, lowercase: bool, max_tokens: int
) -> PreTrainedTokenizerFast:
    """Train a BERT tokenizer.

    A new tokenizer has no post-processor and silently omits `[CLS]` and `[SEP]`: one is set, and
    checked.

    Raises:
        TokenizerError: the texts are too few for a vocabulary.
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
