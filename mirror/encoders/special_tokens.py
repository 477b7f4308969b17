"""Special tokens of a tokenizer, read from its files or from a transformers tokenizer."""

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
    """Special tokens that the method uses; None for those that a tokenizer lacks."""

    cls: str | None
    sep: str | None
    mask: str | None
    unknown: str | None


def read_special_tokens(folder: Path, kind: Architecture) -> SpecialTokens:
    """Return the special tokens named in a folder's files, else those of its architecture.

    Raises:
        TokenizerError: one of the files is not JSON.
    """
    settings = _read_json(folder / "tokenizer_config.json")
    names = {**_read_json(folder / "special_tokens_map.json"), **settings}
    if settings.get("tokenizer_class") not in PLAIN_CLASSES:
        names = {**kind.special_tokens, **names}
    cls, sep, mask, unknown = (
        token.get("content") if isinstance(token := names.get(f"{name}_token"), dict) else token
        for name in ("cls", "sep", "mask", "unk")
    )
    return SpecialTokens(cls, sep, mask, unknown)


def special_tokens_of(tokenizer: Any) -> SpecialTokens:
    """Return the special tokens of a transformers tokenizer."""
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
        raise TokenizerError(f"{path} is not a JSON object: get it again")
    return content
