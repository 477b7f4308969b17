"""Tokenizer loading; `tokenizer.json` wins if transformers differs.

transformers builds the tokenizers of some classes again from the vocabulary.  Without settings that
say otherwise such a tokenizer lower-cases, whatever `tokenizer.json` says.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tokenizers import Tokenizer, normalizers

from mirror.encoders.architectures import ARCHITECTURES
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.encoders.tokenizer_checks import check_tokenizer, probe_words
from mirror.encoders.tokenizer_files import (
    PLAIN_CLASSES,
    TOKENIZER_FILE,
    TOKENIZER_SETTINGS,
    SpecialTokens,
    load_as_transformers,
    make_repeatable,
    mark_as_special,
    read_settings,
    read_special_tokens,
    read_tokenizer_file,
    without_limits,
)
from mirror.errors import TokenizerError
from mirror.log_once import warn_once

if TYPE_CHECKING:
    from transformers import PretrainedConfig

log = logging.getLogger(__name__)

CASE_PROBES = (
    "Fähre",
    "ÉTÉ",
    "한국어",
    "Ｗｉｄｅ",
    "漢字",
    "don't",
    "a\u00adb",
    " two  blanks ",
    "#1",
)
"""Texts that normalizers change."""


def load_tokenizer(
    folder: Path, model: PretrainedConfig, settings: EncoderSettings, *, lowercase: bool = False
) -> Any:
    """Load the fast tokenizer of an encoder.

    Args:
        folder: the encoder's.
        model: its configuration.
        settings: its settings.
        lowercase: as `tuning.lowercase`.
    """
    tokenizer = _load_as_written(folder, lowercase=lowercase)
    backend = tokenizer.backend_tokenizer
    tokens = read_special_tokens(folder, ARCHITECTURES[model.model_type], backend)
    _name_special_tokens(tokenizer, tokens)
    check_tokenizer(backend, tokens, folder=folder, vocab_size=model.vocab_size, masks=False)
    lower_case(backend, settings)
    tokenizer.padding_side = "right"  # as here: with padding before it a text has other positions
    return make_repeatable(tokenizer, folder)


def lower_case(tokenizer: Tokenizer, settings: EncoderSettings) -> None:
    """Let a tokenizer lower-case its texts if its encoder does, as sentence-transformers does."""
    if not settings.lowercase:
        return
    normalizer = tokenizer.normalizer
    is_sequence = isinstance(normalizer, normalizers.Sequence)
    steps = list(cast(Any, normalizer)) if is_sequence else [normalizer]
    if not any(isinstance(step, normalizers.Lowercase) for step in steps):
        steps = [normalizers.Lowercase(), *(step for step in steps if step is not None)]
        tokenizer.normalizer = normalizers.Sequence(steps)


def _load_as_written(folder: Path, *, lowercase: bool) -> Any:
    path = folder / TOKENIZER_FILE
    named = read_settings(folder / TOKENIZER_SETTINGS).get("tokenizer_class")
    if not path.is_file() or named in PLAIN_CLASSES:
        return load_as_transformers(folder, lowercase=lowercase)
    written = read_tokenizer_file(path)
    try:
        loaded = load_as_transformers(folder)
        if not _differ(written, loaded.backend_tokenizer, folder):
            return load_as_transformers(folder, lowercase=True) if lowercase else loaded
    except TokenizerError:
        loaded = None
    warn_once(
        log,
        f"{path} is read as it is written: transformers would "
        + ("not load it" if loaded is None else f"read it otherwise, as {type(loaded).__name__}")
        + f'; to decide which is right, set "do_lower_case" in {TOKENIZER_SETTINGS}',
    )
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    without_limits(tokenizer.backend_tokenizer)
    if lowercase:
        lowercase_bert(tokenizer.backend_tokenizer)
    return tokenizer


def _differ(written: Tokenizer, loaded: Tokenizer, folder: Path) -> bool:
    """Return whether a file and the tokenizer that was loaded from it read texts differently.

    A difference in case is meant if the settings name `do_lower_case`.
    """
    if set(written.get_vocab()) != set(loaded.get_vocab()):
        return True
    named = "do_lower_case" in read_settings(folder / TOKENIZER_SETTINGS)
    probes = [*probe_words(written.get_vocab()), *(() if named else CASE_PROBES)]
    if named:
        probes = [probe for probe in probes if probe.isascii() and probe == probe.lower()]
    pairs = zip(written.encode_batch(probes), loaded.encode_batch(probes), strict=True)
    return any(first.ids != second.ids for first, second in pairs)


def lowercase_bert(tokenizer: Tokenizer) -> bool:
    """Make a tokenizer with BERT's normalizer lower-case; return whether it has that normalizer."""
    normalizer = tokenizer.normalizer
    if not isinstance(normalizer, normalizers.BertNormalizer):
        return False
    normalizer.lowercase, normalizer.strip_accents = True, None
    tokenizer.normalizer = normalizer
    return True


def _name_special_tokens(tokenizer: Any, tokens: SpecialTokens) -> None:
    """Give a transformers tokenizer the special tokens that its class does not know of."""
    chosen = {"cls_token": tokens.cls, "sep_token": tokens.sep, "mask_token": tokens.mask}
    fallback = {"unk_token": tokens.unknown, "pad_token": tokens.pad}
    for role, token in fallback.items():
        if getattr(tokenizer, role) is None:
            chosen[role] = token
    for role, token in chosen.items():
        if token is not None and getattr(tokenizer, role) != token:
            mark_as_special(tokenizer.backend_tokenizer, token)
            setattr(tokenizer, role, token)
