"""Tokenizer files of a model: the tokenizer without padding, and its special tokens.

Without `tokenizer.json`, the tokenizer is as transformers loads it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer

from mirror.encoders.architectures import Architecture
from mirror.errors import TokenizerError
from mirror.log_once import warn_once

log = logging.getLogger(__name__)

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_SETTINGS = "tokenizer_config.json"
PLAIN_CLASSES = {"PreTrainedTokenizerFast", "TokenizersBackend"}
"""Classes that read `tokenizer.json` as it is written."""


@dataclass(frozen=True)
class SpecialTokens:
    """Special tokens that the method uses; None for those that a tokenizer lacks."""

    cls: str | None
    sep: str | None
    mask: str | None
    unknown: str | None
    pad: str | None = None


def read_tokenizer(folder: Path) -> Tokenizer:
    """Return a model folder's tokenizer, with padding and truncation off.

    torch is not imported if there is a `tokenizer.json`.

    Raises:
        TokenizerError: it cannot be read.
    """
    if (folder / TOKENIZER_FILE).is_file():
        return read_tokenizer_file(folder / TOKENIZER_FILE)
    tokenizer: Tokenizer = load_as_transformers(folder).backend_tokenizer
    return tokenizer


def read_tokenizer_file(path: Path) -> Tokenizer:
    """Return the tokenizer in a `tokenizer.json`, with padding and truncation off."""
    try:
        tokenizer = without_limits(Tokenizer.from_file(str(path)))
    except Exception as error:  # the tokenizers library raises bare Exception
        raise TokenizerError(
            f"{path} cannot be read ({error}): get it again from where it came from"
        ) from error
    return repeatable(tokenizer, path.parent)


def repeatable(tokenizer: Tokenizer, folder: Path) -> Tokenizer:
    """Return a tokenizer that gives the same ids whenever it is loaded.

    The tokenizers library matches added tokens that are equal once normalized in an order that
    differs from load to load.  All but the first by id are matched as they are written instead.
    """
    equal: dict[str, list[int]] = {}
    added = tokenizer.get_added_tokens_decoder()
    for number, token in sorted(added.items()):
        if token.normalized and tokenizer.normalizer is not None:
            equal.setdefault(tokenizer.normalizer.normalize_str(token.content), []).append(number)
    groups = [numbers for numbers in equal.values() if len(numbers) > 1]
    if not groups:
        return tokenizer
    others = {number for _, *later in groups for number in later}
    content = json.loads(tokenizer.to_str())
    for token in content["added_tokens"]:
        token["normalized"] = token["normalized"] and token["id"] not in others
    first, second = (added[number].content for number in groups[0][:2])
    warn_once(
        log,
        f"{len(others)} added tokens of the tokenizer in {folder} are equal to others once "
        f"normalized, such as {second!r} to {first!r}: elsewhere their ids change from load to "
        "load; here, and in encoders that are saved, they are matched as they are written",
    )
    return Tokenizer.from_str(json.dumps(content))


def without_limits(tokenizer: Tokenizer) -> Tokenizer:
    """Switch off padding and truncation, which many published files have written in."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def read_special_tokens(folder: Path, kind: Architecture, tokenizer: Tokenizer) -> SpecialTokens:
    """Return the special tokens of a folder's tokenizer.

    They are those named in its files, else those usual for its architecture, else those that the
    tokenizer puts around a text or has as added tokens.  Names that it does not know do not count.
    """
    named = {
        **kind.special_tokens,
        **_token_names(read_settings(folder / "special_tokens_map.json")),
        **_token_names(read_settings(folder / TOKENIZER_SETTINGS)),
    }
    known = {role: name for role, name in named.items() if tokenizer.token_to_id(name) is not None}
    first, last = _surrounding_tokens(tokenizer)
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    unknown = getattr(tokenizer.model, "unk_token", None)
    return SpecialTokens(
        cls=_choose(known.get("cls_token"), known.get("bos_token"), first),
        sep=_choose(known.get("sep_token"), known.get("eos_token"), last),
        mask=known.get("mask_token") or _called("mask", added),
        unknown=known.get("unk_token") or unknown or _called("unk", added),
        pad=known.get("pad_token") or _called("pad", added),
    )


def special_tokens_of(tokenizer: Any) -> SpecialTokens:
    """Return the special tokens of a transformers tokenizer."""
    return SpecialTokens(
        tokenizer.cls_token,
        tokenizer.sep_token,
        tokenizer.mask_token,
        tokenizer.unk_token,
        tokenizer.pad_token,
    )


def read_settings(path: Path) -> dict[str, Any]:
    """Return the JSON object in a tokenizer's file of settings; empty if there is no such file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TokenizerError(f"{path} cannot be read as JSON: get it again") from error
    if not isinstance(content, dict):
        raise TokenizerError(f"{path} is not a JSON object: get it again")
    return content


def mark_as_special(tokenizer: Tokenizer, token: str | None) -> None:
    """Make a token of the vocabulary one that is never split; unchanged if it is one already."""
    added = {added.content for added in tokenizer.get_added_tokens_decoder().values()}
    if token is not None and token not in added:
        tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True)])


def _token_names(settings: Mapping[str, Any]) -> dict[str, str]:
    roles = ("cls_token", "sep_token", "mask_token", "unk_token", "pad_token")
    names = {role: settings.get(role) for role in (*roles, "bos_token", "eos_token")}
    texts = {
        role: name.get("content") if isinstance(name, dict) else name
        for role, name in names.items()
    }
    return {role: str(name) for role, name in texts.items() if name}


def _surrounding_tokens(tokenizer: Tokenizer) -> tuple[str | None, str | None]:
    """Return the first and the last token of an empty text; None if there are fewer than two."""
    tokens = tokenizer.encode("").tokens
    return (tokens[0], tokens[-1]) if len(tokens) > 1 else (None, None)


def _choose(named: str | None, alternative: str | None, written: str | None) -> str | None:
    """Return the named token, or the written one if it is the alternative or none is named."""
    return written if named is None or (written and written == alternative) else named


def _called(name: str, added: Iterable[str]) -> str | None:
    """Return the added token whose letters are `name`, such as `[MASK]` or `<|mask|>`."""
    return next((token for token in added if token.lower().strip("[]<>|") == name), None)


def load_as_transformers(folder: Path, *, lowercase: bool = False) -> Any:
    """Load a folder's tokenizer as transformers chooses it, with padding and truncation off."""
    from transformers import AutoTokenizer

    # Passed only if true: false would override the folder's setting.
    changes = {"do_lower_case": True} if lowercase else {}
    options = {"local_files_only": True, **changes}
    try:
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                str(folder), trust_remote_code=False, **options
            )
        except (ValueError, OSError, ImportError):
            # A class that is unusual for the architecture is not tried by AutoTokenizer.
            if not _is_fast(named := _named_class(folder)):
                raise
            tokenizer = named.from_pretrained(str(folder), trust_remote_code=False, **options)
        if hasattr(tokenizer, "backend_tokenizer"):
            without_limits(tokenizer.backend_tokenizer)
            return make_repeatable(tokenizer, folder)
    except Exception as error:  # the tokenizer classes raise many kinds
        raise _loading_error(folder, error) from error
    raise _python_only(folder, type(tokenizer).__name__)


def make_repeatable(tokenizer: Any, folder: Path) -> Any:
    """As `repeatable`, for a tokenizer of transformers, which is changed."""
    tokenizer._tokenizer = repeatable(tokenizer.backend_tokenizer, folder)
    return tokenizer


def _named_class(folder: Path) -> Any:
    """Return the tokenizer class of transformers that a folder names; None without one."""
    import transformers

    files = (folder / TOKENIZER_SETTINGS, folder / "config.json")
    names = [read_settings(path).get("tokenizer_class") for path in files]
    named = getattr(transformers, str(names[0] or names[1]), None)
    is_tokenizer = isinstance(named, type) and issubclass(
        named, transformers.PreTrainedTokenizerBase
    )
    return named if is_tokenizer else None


def _is_fast(named: Any) -> bool:
    """Return whether a tokenizer class uses the tokenizers library."""
    from transformers import PreTrainedTokenizerFast

    return named is not None and issubclass(named, PreTrainedTokenizerFast)


def _loading_error(folder: Path, error: Exception) -> TokenizerError:
    if (folder / TOKENIZER_FILE).is_file():
        return TokenizerError(
            f"the tokenizer in {folder} cannot be loaded ({error}): get it again from where it "
            "came from"
        )
    named = _named_class(folder)
    if named is not None and not _is_fast(named):
        return _python_only(folder, named.__name__)
    return TokenizerError(
        f"no tokenizer in {folder} that can be read: it needs {TOKENIZER_FILE} ({error})"
    )


def _python_only(folder: Path, name: str) -> TokenizerError:
    return TokenizerError(
        f"the tokenizer in {folder} is a {name}, which transformers has in Python only: it cannot "
        f"be used; choose a base with {TOKENIZER_FILE}"
    )
