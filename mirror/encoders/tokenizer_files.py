"""Tokenizer files of a model: the tokenizer without padding, and its special tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mirror.encoders.architectures import Architecture
from mirror.errors import TokenizerError

TOKENIZER_FILE = "tokenizer.json"
PLAIN_CLASSES = {"PreTrainedTokenizerFast", "TokenizersBackend"}


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens that the method uses; None for those that a tokenizer lacks."""

    cls: str | None
    sep: str | None
    mask: str | None
    unknown: str | None


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return a model folder's tokenizer, with padding and truncation off.

    torch is not imported if there is a `tokenizer.json`.

    Raises:
        TokenizerError: it cannot be read.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return read_tokenizer_file(folder / TOKENIZER_FILE)
    from transformers import AutoTokenizer

    try:
        loaded: Any = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        tokenizer: Tokenizer = loaded.backend_tokenizer
    except Exception as error:  # the tokenizer classes raise many kinds
        raise TokenizerError(
            f"no tokenizer in {folder} that can be read: it needs {TOKENIZER_FILE} ({error})"
        ) from error
    return without_limits(tokenizer)


def read_tokenizer_file(path: Path) -> Tokenizer:
    """Return the tokenizer in a `tokenizer.json`, with padding and truncation off.

    Raises:
        TokenizerError: it cannot be read.
    """
    try:
        return without_limits(Tokenizer.from_file(str(path)))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise TokenizerError(
            f"{path} cannot be read ({error}): get it again from where it came from"
        ) from error


def without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off padding and truncation, which many published files have written in."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


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
