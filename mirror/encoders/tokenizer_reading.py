"""Tokenizer of a model folder: by its `tokenizer.json`, else as transformers loads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mirror.encoders.tokenizer_files import (
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS,
    read_settings,
    read_tokenizer_file,
    repeatable,
    without_limits,
)
from mirror.errors import TokenizerError


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


def load_as_transformers(folder: Path, *, lowercase: bool = False) -> Any:
    """Load the tokenizer that transformers chooses for a folder, with padding and truncation off.

    Raises:
        TokenizerError: it cannot be loaded, or has no fast implementation.
    """
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
