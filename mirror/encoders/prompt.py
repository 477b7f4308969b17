"""Prompts: words around every text, stored in the tokenizer (PromptBERT, Jiang et al. 2022).

The prompt's tokens are part of the tokenizer's template, like the class token and the separator.
So any reader of the saved folder adds them, and truncation leaves room for them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.tokenizer_files import SpecialTokens, special_tokens_of
from mirror.errors import TokenizerError
from mirror.tuning_config import PROMPT_MASK, PROMPT_TEXT, Pooling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEFORE, AFTER = "prompt-before", "prompt-after"
"""Names of the entries in the tokenizer's template; each expands to several tokens."""


@dataclass(frozen=True)
class PromptTokens:
    """Token ids that the tokenizer puts around the ids of every text."""

    before: tuple[int, ...]
    """The class token and the prompt's tokens; a mask token may replace the class token."""
    after: tuple[int, ...]
    """The prompt's tokens and the separator; a mask token may replace the separator."""

    @property
    def count(self) -> int:
        """How many tokens are added to each text."""
        return len(self.before) + len(self.after)

    def enclose(self, ids: list[int]) -> bool:
        """Return whether a text's ids begin with `before` and end with `after`."""
        return len(ids) >= self.count and (
            (tuple(ids[: len(self.before)]), tuple(ids[-len(self.after) :]))
            == (self.before, self.after)
        )


def write_prompt(
    tokenizer: Tokenizer, tokens: SpecialTokens, prompt: str, pooling: Pooling, folder: Path
) -> None:
    """Change a tokenizer so that it puts a prompt around every text; an older prompt is replaced.

    The pooled token is the prompt's mask.  With the pooling `last` the prompt ends in it, without a
    separator; with `cls` a prompt that begins with the mask gets no class token.

    Args:
        tokenizer: passed `check_tokenizer`; changed in place.
        tokens: its special tokens.
        prompt: as `tuning.prompt`.
        pooling: how the tokens' vectors become one.
        folder: the tokenizer's, for error messages.
    """
    from tokenizers.processors import TemplateProcessing

    first, last = _prompt_ids(tokenizer, tokens, prompt, folder)
    cls, sep, mask = (
        tokenizer.token_to_id(str(name)) for name in (tokens.cls, tokens.sep, tokens.mask)
    )
    assert cls is not None and sep is not None  # noqa: S101  # passed `check_tokenizer`
    before = first if pooling == "cls" and first[:1] == [mask] else [cls, *first]
    after = last if pooling == "last" else [*last, sep]
    tokenizer.post_processor = TemplateProcessing(
        single=[BEFORE, "$A", AFTER],
        special_tokens=[
            _template_entry(BEFORE, before, tokenizer),
            _template_entry(AFTER, after, tokenizer),
        ],
    )


def with_prompt(tokenizer: Any, prompt: str | None, pooling: Pooling, folder: Path) -> Any:
    """Return a transformers tokenizer with the prompt; unchanged if the prompt is None.

    See `write_prompt`.  The result has the generic class: a model's tokenizer class may rebuild its
    template when it is loaded, without the prompt.
    """
    if prompt is None:
        return tokenizer
    from transformers import PreTrainedTokenizerFast

    write_prompt(tokenizer.backend_tokenizer, special_tokens_of(tokenizer), prompt, pooling, folder)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        **tokenizer.special_tokens_map,
    )


def _prompt_ids(
    tokenizer: Tokenizer, tokens: SpecialTokens, prompt: str, folder: Path
) -> tuple[list[int], list[int]]:
    """Return the ids of the prompt's parts before and after the text."""
    if PROMPT_MASK in prompt and (
        tokens.mask is None or tokenizer.token_to_id(tokens.mask) is None
    ):
        raise TokenizerError(
            f"tuning.prompt contains {PROMPT_MASK}, but the tokenizer in {folder} has no mask "
            "token: choose a masked language model, or remove the mask from the prompt"
        )
    tokenizer.no_truncation()
    before, _, after = prompt.replace(PROMPT_MASK, str(tokens.mask)).partition(PROMPT_TEXT)
    first, last = (
        tokenizer.encode(part, add_special_tokens=False).ids
        for part in (before.strip(), after.rstrip())
    )
    if tokens.unknown and tokenizer.token_to_id(tokens.unknown) in [*first, *last]:
        names = " ".join(str(tokenizer.id_to_token(number)) for number in [*first, *last])
        raise TokenizerError(
            f"tuning.prompt has a word that the tokenizer in {folder} does not know: it reads "
            f"{names}; write the prompt in words of the base's language"
        )
    return first, last


def _template_entry(name: str, ids: list[int], tokenizer: Tokenizer) -> dict[str, Any]:
    return {"id": name, "ids": ids, "tokens": [tokenizer.id_to_token(number) for number in ids]}


def read_prompt_tokens(tokenizer: Tokenizer) -> PromptTokens | None:
    """Return the token ids that `write_prompt` put around every text; None without a prompt.

    A prompt whose ids do not belong to its tokens in this vocabulary does not count as one.
    """
    if tokenizer.post_processor is None:
        return None
    entries = json.loads(tokenizer.post_processor.__getstate__()).get("special_tokens")
    if not isinstance(entries, dict) or set(entries) != {BEFORE, AFTER}:
        return None
    for entry in entries.values():
        if [tokenizer.token_to_id(token) for token in entry["tokens"]] != entry["ids"]:
            return None
    return PromptTokens(tuple(entries[BEFORE]["ids"]), tuple(entries[AFTER]["ids"]))


def check_room(tokenizer: Tokenizer, max_tokens: int, folder: Path) -> None:
    """Check that a prompt leaves room for a text; without room texts would not be truncated.

    Raises:
        TokenizerError: the prompt and the special tokens take all of `max_tokens`.
    """
    prompt = read_prompt_tokens(tokenizer)
    if prompt is not None and prompt.count >= max_tokens:
        raise TokenizerError(
            f"the prompt of the tokenizer in {folder} takes {prompt.count} tokens with the special "
            f"tokens, and only {max_tokens} are read: raise tuning.max_tokens, or shorten "
            "tuning.prompt"
        )


def check_prefix_room(prefix: str, tokens: int, max_tokens: int, folder: Path) -> None:
    """Check that an encoder's own prompt leaves room for a text.

    Args:
        prefix: the prompt's words; empty without one.
        tokens: its tokens and the special tokens.
        max_tokens: how many tokens of a text are read.
        folder: the encoder's, for error messages.
    """
    if prefix and tokens >= max_tokens:
        raise TokenizerError(
            f"the words {prefix!r} that the encoder in {folder} puts before every text take all of "
            f"the {max_tokens} tokens that are read: raise tuning.max_tokens"
        )
