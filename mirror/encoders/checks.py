"""Whether a tokenizer has what the method needs: asked of the tokenizer, not of its settings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mirror.encoders.architectures import Architecture
from mirror.encoders.prompt import PromptTokens, read_marks
from mirror.encoders.special_tokens import SpecialTokens, read_special_tokens, special_tokens_of
from mirror.errors import TokenizerError

PROBES = 200


def check_tokenizer_folder(
    folder: Path, config: Mapping[str, Any], kind: Architecture, *, masks: bool
) -> None:
    """Checks the folder's tokenizer without torch; see `check_tokenizer`.

    Raises:
        TokenizerError: it is missing, damaged, or lacks something.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        _check_older_folder(folder, config, masks=masks)
        return
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise TokenizerError(
            f"{path} cannot be read ({error}): get it again from where it came from"
        ) from error
    tokens = read_special_tokens(folder, kind)
    vocab_size = int(config.get("vocab_size", 1 << 62))
    check_tokenizer(tokenizer, tokens, place=folder, vocab_size=vocab_size, masks=masks)


def check_tokenizer(
    tokenizer: Tokenizer, tokens: SpecialTokens, *, place: Path, vocab_size: int, masks: bool
) -> None:
    """Checks that texts get distinct ids the model knows, between class token and separator.

    Args:
        tokenizer: what turns text into ids.
        tokens: the special tokens that it is said to have.
        place: the folder, for errors.
        vocab_size: rows in the model's word embeddings.
        masks: whether a mask token is needed.

    Raises:
        TokenizerError: one of these does not hold.
    """
    if masks and (tokens.mask is None or tokenizer.token_to_id(tokens.mask) is None):
        raise TokenizerError(
            f"the tokenizer in {place} has no mask token: choose a masked language model, "
            "or set tuning.mask_length to 0"
        )
    vocabulary = tokenizer.get_vocab()
    if (largest := max(vocabulary.values(), default=0)) >= vocab_size:
        raise TokenizerError(
            f"the tokenizer in {place} gives ids up to {largest}, but the model knows only "
            f"{vocab_size}: tokenizer and weights are of two models"
        )
    _check_ids(tokenizer, tokens, _probes(vocabulary), place)


def _check_ids(
    tokenizer: Tokenizer, tokens: SpecialTokens, probes: Iterator[str], place: Path
) -> None:
    seen = set[int]()
    unknown = tokenizer.token_to_id(tokens.unknown) if tokens.unknown else None
    marks = _marks(tokenizer, tokens)
    for probe in probes:
        ids = tokenizer.encode(probe).ids
        if marks is None or not marks.around(ids):
            raise TokenizerError(
                f"the tokenizer in {place} does not put {tokens.cls or 'a class token'} before "
                f"and {tokens.sep or 'a separator'} after a text: give it a post-processor "
                "(tokenizers.processors.TemplateProcessing)"
            )
        seen.update(ids[len(marks.before) : -len(marks.after)])
    if len(seen - {unknown}) < 2:
        raise TokenizerError(
            f"the tokenizer in {place} gives all texts the same ids: its vocabulary was not "
            "read; save it again with save_pretrained and look at what it gives"
        )


def _check_older_folder(folder: Path, config: Mapping[str, Any], *, masks: bool) -> None:
    """For folders from before `tokenizer.json`; slower, as transformers has to build it."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        backend = tokenizer.backend_tokenizer
    except Exception as error:  # whatever the many tokenizer classes raise
        raise TokenizerError(
            f"no tokenizer in {folder} that can be read: it needs tokenizer.json ({error})"
        ) from error
    vocab_size = int(config.get("vocab_size", 1 << 62))
    tokens = special_tokens_of(tokenizer)
    check_tokenizer(backend, tokens, place=folder, vocab_size=vocab_size, masks=masks)


def _probes(vocabulary: Mapping[str, int]) -> Iterator[str]:
    """Texts that any tokenizer with this vocabulary must tell apart, in whatever language."""
    words = (word.strip("#▁Ġ") for word in sorted(vocabulary))
    letters = sorted({word for word in words if word.isalpha()})
    step = max(1, len(letters) // PROBES)
    yield from letters[::step] or ("a", "b")


def _marks(tokenizer: Tokenizer, tokens: SpecialTokens) -> PromptTokens | None:
    """What must stand around every text; nothing where no marks are known, or a prompt is broken.

    A prompt's mask may stand in the place of class token or separator, never of both.
    """
    if tokens.cls is None or tokens.sep is None:
        return None
    names = (tokens.cls, tokens.sep, tokens.mask)
    cls, sep, mask = (tokenizer.token_to_id(name) if name else None for name in names)
    if cls is None or sep is None:
        return None
    marks = read_marks(tokenizer) or PromptTokens((cls,), (sep,))
    ends = (marks.before[0], marks.after[-1])
    return marks if ends in ((cls, sep), (mask, sep), (cls, mask)) else None
