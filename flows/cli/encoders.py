"""Encoders as users name them: a folder, or a registered model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from mirror.errors import BaseModelError

if TYPE_CHECKING:
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.sentence_transformers_format import EncoderSettings
    from mirror.tuning_config import Pooling


def load_encoder(name: str, pooling: str | None = None, max_tokens: int | None = None) -> Encoder:
    """The encoder in a folder, or the one that the registry has at `models:/...`.

    Raises:
        BaseModelError: there is none, it is damaged, it is plain and no pooling is given, it takes
            fewer tokens than `max_tokens`, or its last layer was fitted to vectors that were pooled
            otherwise.
        ServiceError: the registry does not answer.
    """
    folder = find_encoder_folder(name)
    from mirror.encoders.base_model import token_limit
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.sentence_transformers_format import read_encoder_settings

    limit = token_limit(folder)
    if max_tokens and limit and max_tokens > limit:
        raise BaseModelError(
            f"{name} takes {limit} tokens of a text, not {max_tokens}: give --max-tokens {limit} "
            "at most, or leave it out"
        )
    saved = read_encoder_settings(folder)
    if pooling and saved and saved.projected and pooling != saved.pooling:
        raise BaseModelError(
            f"{name} has a last layer that was fitted to {saved.pooling} pooling, not to "
            f"{pooling}: leave --pooling out"
        )
    return Encoder.load(folder, cast("Pooling | None", pooling), max_tokens)


def load_rival(name: str, like: EncoderSettings, pooling: str | None) -> Encoder:
    """The encoder to compare with; a plain model is pooled, cut and prompted as the other one is.

    Raises:
        BaseModelError: there is none, or it is damaged.
        TokenizerError: the other one's prompt does not fit it.
        ServiceError: the registry does not answer.
    """
    from mirror.encoders.base_model import token_limit
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.sentence_transformers_format import read_encoder_settings

    folder = find_encoder_folder(name)
    if read_encoder_settings(folder) is not None:
        return load_encoder(name)
    limit = token_limit(folder) or like.max_tokens
    chosen = cast("Pooling | None", pooling) or like.pooling
    return Encoder.load(folder, chosen, min(like.max_tokens, limit), prompt=like.prompt)


def find_encoder_folder(name: str) -> Path:
    """The encoder's folder on this machine.

    Raises:
        BaseModelError: there is none.
        InputError: no workspace is there that could have it.
        ServiceError: the registry does not answer.
    """
    if name.startswith("models:/"):
        from mirror.paths import open_workspace

        workspace = open_workspace(for_registry=True)
        from tasks.registry import fetch_model

        return fetch_model(name, workspace)
    folder = Path(name)
    if not folder.is_dir():
        raise BaseModelError(
            f"no encoder at {folder}: name a folder, or a registered model as models:/NAME@champion"
        )
    return folder
