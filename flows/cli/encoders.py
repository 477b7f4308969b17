"""Encoders as the command line names them: a folder, or a registered model `models:/...`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from mirror.errors import BaseModelError

if TYPE_CHECKING:
    from mirror.config_base import Precision
    from mirror.encoders.embeddings_file import EmbeddingsOrigin
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.sentence_transformers_format import EncoderSettings
    from mirror.tuning_config import Pooling


def load_encoder(name: str, pooling: str | None = None, max_tokens: int | None = None) -> Encoder:
    """Load an encoder.

    Args:
        name: a folder or a `models:/` URI.
        pooling: replaces the encoder's own; a plain model needs it.
        max_tokens: replaces the encoder's own.

    Raises:
        BaseModelError: it does not exist or is damaged, a plain model has no pooling, `max_tokens`
            exceeds the model's limit, or `pooling` is not that of the encoder's last layer.
        ServiceError: the registry does not answer.
    """
    folder = find_encoder_folder(name)
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.model_config import token_limit
    from mirror.encoders.sentence_transformers_reader import check_reading, read_encoder_settings

    limit = token_limit(folder)
    if max_tokens and limit and max_tokens > limit:
        raise BaseModelError(
            f"{name} takes {limit} tokens per text, not {max_tokens}: give --max-tokens {limit} "
            "at most, or leave it out"
        )
    if pooling and (saved := read_encoder_settings(folder)):
        check_reading(saved, pooling, None, Path(name))
    return Encoder.load(folder, cast("Pooling | None", pooling), max_tokens)


def load_encoder_like(reference: EncoderSettings, name: str, pooling: str | None) -> Encoder:
    """Load an encoder; a plain model gets the pooling, length and prompt of a reference.

    Args:
        reference: settings of the encoder to compare with.
        name: a folder or a `models:/` URI.
        pooling: replaces the reference's pooling for a plain model.
    """
    from mirror.encoders.encoder import Encoder
    from mirror.encoders.model_config import token_limit
    from mirror.encoders.sentence_transformers_reader import read_encoder_settings

    folder = find_encoder_folder(name)
    if read_encoder_settings(folder) is not None:
        return load_encoder(name)
    limit = token_limit(folder) or reference.max_tokens
    chosen = cast("Pooling | None", pooling) or reference.pooling
    max_tokens = min(reference.max_tokens, limit)
    return Encoder.load(folder, chosen, max_tokens, prompt=reference.prompt)


def find_encoder_folder(name: str) -> Path:
    """Return the encoder's folder; a registered model is fetched first."""
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


def pin_encoder(name: str) -> str:
    """Return the name, with a registered model's alias replaced by its version."""
    if not name.startswith("models:/"):
        return name
    from mirror.paths import open_workspace

    open_workspace(for_registry=True)
    from tasks.registry import pin_model

    return pin_model(name)


def embeddings_origin(name: str, encoder: Encoder, precision: Precision) -> EmbeddingsOrigin:
    """Return what to write into a file of an encoder's embeddings.

    The digest is that of the registered version, unless pooling or length is not the encoder's own.

    Args:
        name: a folder, or `models:/NAME/VERSION`.
        encoder: loaded from there.
        precision: of the file.
    """
    from mirror.encoders.embeddings_file import EmbeddingsOrigin
    from mirror.encoders.encoder_ref import folder_encoder_digest
    from mirror.encoders.sentence_transformers_reader import read_encoder_settings
    from mirror.hashing import digest_of_json

    folder, used = find_encoder_folder(name), encoder.settings
    digest = folder_encoder_digest(folder)
    own = read_encoder_settings(folder)
    if own is None or (own.pooling, own.max_tokens or used.max_tokens) != (
        used.pooling,
        used.max_tokens,
    ):
        digest = digest_of_json([digest, used.pooling, used.max_tokens])
    registered = name.startswith("models:/")
    model, version = name.removeprefix("models:/").rsplit("/", 1) if registered else (name, "")
    return EmbeddingsOrigin(model, version, digest, encoder.dimension, precision)
