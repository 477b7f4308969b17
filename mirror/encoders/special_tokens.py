"""The special tokens of a tokenizer, by its files or by transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mirror.encoders.architectures import Architecture
from mirror.errors import TokenizerError

PLAIN_CLASSES = {"PreTrainedTokenizerFast", "TokenizersBackend"}


@dataclass(frozen=True)
class SpecialTokens:
    """The tokens that the method relies on; nothing where a tokenizer has none."""

    cls: str | None
    sep: str | None
    mask: str | None
    unknown: str | None


def read_special_tokens(folder: Path, kind: Architecture) -> SpecialTokens:
    """The special tokens by the folder's files, or by its kind of model where they say nothing.

    Raises:
        TokenizerError: one of the files is not JSON.
    """
    settings = _read_json(folder / "tokenizer_config.json")
    said = {**_read_json(folder / "special_tokens_map.json"), **settings}
    if settings.get("tokenizer_class") not in PLAIN_CLASSES:
        said = {**kind.special_tokens, **said}
    cls, sep, mask, unknown = (
        token.get("content") if isinstance(token := said.get(f"{name}_token"), dict) else token
        for name in ("cls", "sep", "mask", "unk")
    )
    return SpecialTokens(cls, sep, mask, unknown)


def special_tokens_of(tokenizer: Any) -> SpecialTokens:
    """The special tokens of a tokenizer of transformers."""
    return SpecialTokens(
        tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token, tokenizer.unk_token
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{path} cannot be read as JSON: get it again") from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} holds no settings: get it again")
    return content
