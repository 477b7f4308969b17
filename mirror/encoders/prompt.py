"""Prompts: words around every text, kept in the tokenizer itself (PromptBERT, Jiang et al. 2022).

A tokenizer puts its marks around every text, and leaves them room when it cuts one.  A prompt's
tokens stand among these marks, so that whoever reads the saved folder gives the same vectors and
needs to know nothing of a prompt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.special_tokens import SpecialTokens, special_tokens_of
from mirror.errors import TokenizerError
from mirror.tuning_config import PROMPT_MASK, PROMPT_TEXT, Pooling

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BEFORE, AFTER = "prompt-before", "prompt-after"
"""What the entries of a tokenizer's template are called; each stands for several tokens."""


@dataclass(frozen=True)
class PromptTokens:
    """Ids that stand around every text's own."""

    before: tuple[int, ...]
    """The class token and the prompt's tokens, or the mask token that it begins with."""
    after: tuple[int, ...]
    """The prompt's tokens and the separator, or the mask token that it ends with."""

    @property
    def count(self) -> int:
        """How many tokens of a text's room they take."""
        return len(self.before) + len(self.after)

    def around(self, ids: list[int]) -> bool:
        """Whether a text's ids begin and end with them."""
        return len(ids) >= self.count and (
            (tuple(ids[: len(self.before)]), tuple(ids[-len(self.after) :]))
            == (self.before, self.after)
        )


def write_prompt(
    tokenizer: Tokenizer, tokens: SpecialTokens, prompt: str, pooling: Pooling, place: Path
) -> None:
    """Makes a tokenizer put a prompt around every text, in place of one that it may have.

    Where the pooling is `last` the prompt's end takes the separator's place, and where it is `cls`
    a mask that the prompt begins with takes the class token's: the vector is that of the mask.

    Args:
        tokenizer: one that `check_tokenizer` lets pass; it is changed.
        tokens: the special tokens that it is said to have.
        prompt: as `tuning.prompt`.
        pooling: how the tokens' vectors become one.
        place: the folder, for errors.

    Raises:
        TokenizerError: it has no mask token and the prompt asks for one, or it does not know the
            prompt's words.
    """
    from tokenizers.processors import TemplateProcessing

    first, last = _ids_of(tokenizer, tokens, prompt, place)
    cls, sep, mask = (
        tokenizer.token_to_id(str(name)) for name in (tokens.cls, tokens.sep, tokens.mask)
    )
    assert cls is not None and sep is not None  # noqa: S101  # the tokenizer has been checked
    before = first if pooling == "cls" and first[:1] == [mask] else [cls, *first]
    after = last if pooling == "last" else [*last, sep]
    tokenizer.post_processor = TemplateProcessing(
        single=[BEFORE, "$A", AFTER],
        special_tokens=[_entry(BEFORE, before, tokenizer), _entry(AFTER, after, tokenizer)],
    )


def prompted(tokenizer: Any, prompt: str | None, pooling: Pooling, place: Path) -> Any:
    """A tokenizer of transformers with a prompt around every text, if any; see `write_prompt`.

    It is of the plain class: a model's own class may put its own marks back when it is loaded.
    """
    if prompt is None:
        return tokenizer
    from transformers import PreTrainedTokenizerFast

    write_prompt(tokenizer.backend_tokenizer, special_tokens_of(tokenizer), prompt, pooling, place)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        model_max_length=tokenizer.model_max_length,
        model_input_names=tokenizer.model_input_names,
        padding_side=tokenizer.padding_side,
        **tokenizer.special_tokens_map,
    )


def _ids_of(
    tokenizer: Tokenizer, tokens: SpecialTokens, prompt: str, place: Path
) -> tuple[list[int], list[int]]:
    """What a prompt has before the text and after it, with the space that may divide them."""
    if PROMPT_MASK in prompt and (
        tokens.mask is None or tokenizer.token_to_id(tokens.mask) is None
    ):
        raise TokenizerError(
            f"tuning.prompt holds {PROMPT_MASK}, and the tokenizer in {place} has no mask token: "
            "choose a masked language model, or leave the mask out"
        )
    tokenizer.no_truncation()
    before, _, after = prompt.replace(PROMPT_MASK, str(tokens.mask)).partition(PROMPT_TEXT)
    first, last = (
        tokenizer.encode(part, add_special_tokens=False).ids
        for part in (before.strip(), after.rstrip())
    )
    if tokens.unknown and tokenizer.token_to_id(tokens.unknown) in [*first, *last]:
        read = " ".join(str(tokenizer.id_to_token(number)) for number in [*first, *last])
        raise TokenizerError(
            f"tuning.prompt has a word that the tokenizer in {place} does not know: it reads "
            f"{read}; write the prompt in words of the base's language"
        )
    return first, last


def _entry(name: str, ids: list[int], tokenizer: Tokenizer) -> dict[str, Any]:
    return {"id": name, "ids": ids, "tokens": [tokenizer.id_to_token(number) for number in ids]}


def read_marks(tokenizer: Tokenizer) -> PromptTokens | None:
    """What stands around every text where `write_prompt` wrote a prompt; nothing elsewhere.

    A prompt whose ids are not those of its tokens, as in another vocabulary, is none.
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


def check_room(tokenizer: Tokenizer, max_tokens: int, place: Path) -> None:
    """Checks that a prompt leaves room for a text: else texts would not be cut at all.

    Raises:
        TokenizerError: it does not.
    """
    marks = read_marks(tokenizer)
    if marks is not None and marks.count >= max_tokens:
        raise TokenizerError(
            f"the prompt of the tokenizer in {place} takes {marks.count} tokens with the marks, "
            f"and {max_tokens} are read: raise tuning.max_tokens, or shorten tuning.prompt"
        )
