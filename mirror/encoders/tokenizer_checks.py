"""Checks of a base model's tokenizer: its special tokens and the ids that it gives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mirror.encoders.architectures import Architecture
from mirror.encoders.prompt import PromptTokens, read_prompt_tokens
from mirror.encoders.tokenizer_files import (
    SpecialTokens,
    read_special_tokens,
    read_tokenizer_file,
    special_tokens_of,
    without_limits,
)
from mirror.errors import TokenizerError

PROBES = 200
"""Number of words of the vocabulary that are tokenized as a check."""


def check_tokenizer_folder(
    folder: Path, config: Mapping[str, Any], kind: Architecture, *, masks: bool
) -> None:
    """Check the folder's tokenizer; see `check_tokenizer`.

    Raises:
        TokenizerError: it is missing, damaged, or lacks something.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        _check_older_folder(folder, config, masks=masks)
        return
    tokenizer = read_tokenizer_file(path)
    tokens = read_special_tokens(folder, kind)
    vocab_size = int(config.get("vocab_size", 1 << 62))
    check_tokenizer(tokenizer, tokens, folder=folder, vocab_size=vocab_size, masks=masks)


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

    Raises:
        TokenizerError: it has no mask token, gives unknown ids, gives all texts the same ids, or
            has no class token or separator.
    """
    if masks and (tokens.mask is None or tokenizer.token_to_id(tokens.mask) is None):
        raise TokenizerError(
            f"the tokenizer in {folder} has no mask token: choose a masked language model, "
            "or set tuning.mask_length to 0"
        )
    vocabulary = tokenizer.get_vocab()
    if (largest := max(vocabulary.values(), default=0)) >= vocab_size:
        raise TokenizerError(
            f"the tokenizer in {folder} gives ids up to {largest}, but the model knows only "
            f"{vocab_size}: tokenizer and weights are of two models"
        )
    _check_ids(tokenizer, tokens, _probes(vocabulary), folder)


def _check_ids(
    tokenizer: Tokenizer, tokens: SpecialTokens, probes: Iterator[str], folder: Path
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


def _check_older_folder(folder: Path, config: Mapping[str, Any], *, masks: bool) -> None:
    """Check a folder without `tokenizer.json`; slower, as transformers has to build it."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        backend = without_limits(tokenizer.backend_tokenizer)
    except Exception as error:  # the tokenizer classes raise many kinds
        raise TokenizerError(
            f"no tokenizer in {folder} that can be read: it needs tokenizer.json ({error})"
        ) from error
    vocab_size = int(config.get("vocab_size", 1 << 62))
    tokens = special_tokens_of(tokenizer)
    check_tokenizer(backend, tokens, folder=folder, vocab_size=vocab_size, masks=masks)


def _probes(vocabulary: Mapping[str, int]) -> Iterator[str]:
    """Yield words that a tokenizer with this vocabulary must tell apart, in any language."""
    words = (word.strip("#▁Ġ") for word in sorted(vocabulary))
    letters = sorted({word for word in words if word.isalpha()})
    step = max(1, len(letters) // PROBES)
    yield from letters[::step] or ("a", "b")


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
