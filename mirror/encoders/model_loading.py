"""Loading of a model and its tokenizer from a folder; missing weights are errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from mirror.encoders.architectures import Architecture, set_dropout
from mirror.encoders.tokenizer_checks import check_tokenizer
from mirror.encoders.tokenizer_files import special_tokens_of, without_limits
from mirror.errors import BaseModelError, TokenizerError
from mirror.hardware import keep_few_kernels


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Context manager: transformers prints no progress bars and no tables of missing keys."""
    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()


def load_model(folder: Path, kind: Architecture, dropout: float | None) -> Any:
    """Load a model in fp32, without a pooler; `dropout` replaces all its rates unless it is None.

    Raises:
        BaseModelError: it cannot be loaded, or weights are missing.
    """
    keep_few_kernels()
    options = {"add_pooling_layer": False} if kind.has_pooler else {}
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            if dropout is not None:
                set_dropout(config, dropout)
            model, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # transformers and safetensors raise many kinds on a damaged folder
        raise BaseModelError(
            f"the model in {folder} cannot be loaded ({error}): get it again from "
            "where it came from"
        ) from error
    # transformers fills missing weights with random numbers and raises no error
    if absent := sorted(report["missing_keys"]):
        raise BaseModelError(
            f"the weights in {folder} lack {absent[0]} and {len(absent) - 1} more: get them again"
        )
    return model


def load_tokenizer(folder: Path, vocab_size: int, *, lowercase: bool = False) -> Any:
    """Load the fast tokenizer; for `lowercase` see `tuning.lowercase`.

    Raises:
        TokenizerError: it cannot be loaded, or does not fit the model.
    """
    # Passed only if true: false would override the folder's setting.
    changes = {"do_lower_case": True} if lowercase else {}
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False, **changes
            )
            backend = without_limits(tokenizer.backend_tokenizer)
    except Exception as error:  # the tokenizer classes raise many kinds
        raise TokenizerError(
            f"the tokenizer in {folder} cannot be loaded ({error}): get it again"
        ) from error
    tokens = special_tokens_of(tokenizer)
    check_tokenizer(backend, tokens, folder=folder, vocab_size=vocab_size, masks=False)
    return tokenizer
