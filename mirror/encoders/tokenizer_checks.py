"""Checks of a base model's tokenizer: its special tokens and the ids that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Encoding, Tokenizer

from mirror.encoders.architectures import Architecture
from mirror.encoders.prompt import PromptTokens, read_prompt_tokens
from mirror.encoders.tokenizer_files import (
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS,
    SpecialTokens,
    mark_as_special,
    read_settings,
    read_special_tokens,
    read_tokenizer,
)
from mirror.errors import TokenizerError

PROBES = 200
"""Number of words of the vocabulary that are tokenized as a check."""
MANY_PROBES = 2_000
MOST_CHANGED = 0.05
"""Share of words of a vocabulary that may be read without their capitals, or as unknown."""


def check_tokenizer_folder(
    folder: Path, config: Mapping[str, Any], kind: Architecture, *, masks: bool
) -> None:
    """Check the folder's tokenizer; see `check_tokenizer`.

    Slower without `tokenizer.json`, as transformers has to build it.
    """
    tokenizer = read_tokenizer(folder)
    tokens = read_special_tokens(folder, kind, tokenizer)
    mark_as_special(tokenizer, tokens.mask)
    vocab_size = int(config.get("vocab_size", 1 << 62))
    check_tokenizer(tokenizer, tokens, folder=folder, vocab_size=vocab_size, masks=masks)
    if not (folder / TOKENIZER_FILE).is_file():
        _check_case(tokenizer, tokens.unknown, folder)


def check_tokenizer(
    tokenizer: Tokenizer, tokens: SpecialTokens, *, folder: Path, vocab_size: int, masks: bool
) -> None:
    """Check that texts get distinct, known ids between class token and separator.

    Args:
        tokenizer: of the tokenizers library.
        tokens: its special tokens.
        folder: the tokenizer's, for error messages.
        vocab_size: rows in the model's word embeddings.
        masks: whether a mask token is needed.
    """
    if masks and (tokens.mask is None or tokenizer.token_to_id(tokens.mask) is None):
        raise TokenizerError(
            f"the tokenizer in {folder} has no mask token: choose a masked language model, "
            "or set tuning.mask_length to 0"
        )
    mask = tokenizer.token_to_id(str(tokens.mask))
    [masked] = _plain(tokenizer, [f"a {tokens.mask} b"])
    if masks and sum(number == mask for number in masked.ids) != 1:
        raise TokenizerError(
            f"the tokenizer in {folder} does not read {tokens.mask}, its mask token, as one token: "
            "make it an added token of tokenizer.json"
        )
    vocabulary = tokenizer.get_vocab()
    if (largest := max(vocabulary.values(), default=0)) >= vocab_size:
        raise TokenizerError(
            f"the tokenizer in {folder} gives ids up to {largest}, but the model knows only "
            f"{vocab_size}: tokenizer and weights are of two models"
        )
    _check_ids(tokenizer, tokens, probe_words(vocabulary), folder)


def _check_ids(
    tokenizer: Tokenizer, tokens: SpecialTokens, probes: Sequence[str], folder: Path
) -> None:
    seen = set[int]()
    unknown = tokenizer.token_to_id(tokens.unknown) if tokens.unknown else None
    enclosing = _enclosing_tokens(tokenizer, tokens)
    for probe in probes:
        ids = tokenizer.encode(probe).ids
        if enclosing is None or not enclosing.enclose(ids):
            raise TokenizerError(
                f"the tokenizer in {folder} does not put {tokens.cls or 'a class token'} before "
                f"and {tokens.sep or 'a separator'} after a text: give it a post-processor "
                "(tokenizers.processors.TemplateProcessing)"
            )
        seen.update(ids[len(enclosing.before) : -len(enclosing.after)])
    if len(seen - {unknown}) < 2:
        raise TokenizerError(
            f"the tokenizer in {folder} gives all texts the same ids: its vocabulary was not "
            "read; save it again with save_pretrained and check its ids"
        )


def _check_case(tokenizer: Tokenizer, unknown: str | None, folder: Path) -> None:
    """Check that a tokenizer built from a vocabulary alone reads its words as they are written.

    transformers lower-cases unless it is told otherwise.
    """
    if "do_lower_case" in read_settings(folder / TOKENIZER_SETTINGS):
        return
    words = probe_words(tokenizer.get_vocab(), MANY_PROBES)
    cased = [word for word in words if word != word.lower()]
    lower = _plain(tokenizer, [word.lower() for word in cased])
    pairs = zip(_plain(tokenizer, cased), lower, strict=True)
    changed = sum(first.ids == second.ids for first, second in pairs) / len(words)
    if max(changed, unknown_word_share(tokenizer, unknown, words)) > MOST_CHANGED:
        raise TokenizerError(
            f"the vocabulary in {folder} has words with capitals or in a script that lower-casing "
            "breaks, and its tokenizer lower-cases, as no file says otherwise: write "
            f'"do_lower_case": false into {TOKENIZER_SETTINGS}, or true if that is how the model '
            "was trained"
        )


def unknown_word_share(tokenizer: Tokenizer, unknown: str | None, words: Sequence[str]) -> float:
    """Return the share of words that a tokenizer reads as unknown, at least in part."""
    encodings = _plain(tokenizer, words)
    return sum(unknown in encoding.tokens for encoding in encodings) / max(1, len(words))


def _plain(tokenizer: Tokenizer, texts: Sequence[str]) -> list[Encoding]:
    encodings: list[Encoding] = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    return encodings


def probe_words(vocabulary: Mapping[str, int], count: int = PROBES) -> list[str]:
    """Return words that a tokenizer with this vocabulary must tell apart, in any language."""
    words = (word.strip("#▁Ġ") for word in sorted(vocabulary))
    letters = sorted({word for word in words if word.isalpha()})
    step = max(1, len(letters) // count)
    return letters[::step] or ["a", "b"]


def _enclosing_tokens(tokenizer: Tokenizer, tokens: SpecialTokens) -> PromptTokens | None:
    """Return the special tokens around every text; None if they are unknown or do not fit.

    A prompt's mask may replace the class token or the separator, but not both.
    """
    if tokens.cls is None or tokens.sep is None:
        return None
    names = (tokens.cls, tokens.sep, tokens.mask)
    cls, sep, mask = (tokenizer.token_to_id(name) if name else None for name in names)
    if cls is None or sep is None:
        return None
    enclosing = read_prompt_tokens(tokenizer) or PromptTokens((cls,), (sep,))
    ends = (enclosing.before[0], enclosing.after[-1])
    return enclosing if ends in ((cls, sep), (mask, sep), (cls, mask)) else None
