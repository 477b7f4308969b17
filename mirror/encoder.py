"""An encoder: a transformer, its tokenizer, and the pooling that makes one vector of a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from mirror.architectures import ARCHITECTURES, Architecture, set_dropout
from mirror.base_model import architecture_of, read_config
from mirror.encoder_folder import (
    EncoderSettings,
    read_encoder_settings,
    write_encoder_settings,
)
from mirror.errors import BaseModelError, TokenizerError
from mirror.slices import cut_slices
from mirror.tokenizer_check import check_tokenizer, special_tokens_of
from mirror.tuning_settings import Pooling
from mirror.whitening import Projection, read_projection, write_projection

SLICE_TOKENS = 4_096
BLOCK_ROWS = 1_024
"""Texts whose word embeddings are in memory at a time."""
MAX_PADDING = {"cpu": 128, "cuda": 2_048}
"""Padding in a slice that costs about as much as one more slice."""


class Encoder:
    """Turns texts into vectors; made by `Encoder.load`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: EncoderSettings,
        projection: Projection | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.projection = projection

    @classmethod
    def load(
        cls,
        folder: Path,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        *,
        dropout: float | None = None,
        device: str = "auto",
    ) -> Encoder:
        """Loads a masked language model or a saved encoder, in fp32.

        Args:
            folder: safetensors weights, configuration and tokenizer.
            pooling: nothing means what the folder says; a plain model says nothing.
            max_tokens: likewise; longer texts are cut.  Never above what the model can take.
            dropout: the rate for training, in every layer; nothing leaves the model's own.
            device: `cpu`, `cuda`, or `auto` for CUDA where there is one.

        Raises:
            BaseModelError: the folder cannot be loaded whole, or no pooling is known.
            TokenizerError: the tokenizer does not fit the model.
        """
        kind = architecture_of(read_config(folder), folder)
        saved = read_encoder_settings(folder)
        pooling = pooling or (saved.pooling if saved else None)
        if pooling is None:
            raise BaseModelError(
                f"{folder} is a plain model and says nothing of pooling: choose cls or mean"
            )
        model = _load_model(folder, kind, dropout)
        tokenizer = _load_tokenizer(folder, model.config.vocab_size)
        limit = model.config.max_position_embeddings - kind.reserved_positions
        wanted = max_tokens or (saved.max_tokens if saved else 0) or limit
        settings = EncoderSettings(pooling, min(wanted, limit), bool(saved and saved.projected))
        projection = None
        if settings.projected:
            projection = read_projection(folder, model.config.hidden_size)
        return cls(model.to(resolve_device(device)).eval(), tokenizer, settings, projection)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, special tokens included, cut to `max_tokens`, not padded."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(
            list(texts), truncation=True, max_length=self.settings.max_tokens
        )["input_ids"]
        return ids

    def vectors(self, rows: Sequence[list[int]], slice_tokens: int = SLICE_TOKENS) -> Tensor:
        """Pooled vectors of tokenised texts, in their order: (rows, width), fp32.

        With gradients if those are on, and before any projection, which is not tuned.  Rows are
        encoded in slices of like length, with hardly any padding.
        """
        lengths = [len(row) for row in rows]
        slices = cut_slices(lengths, slice_tokens, MAX_PADDING[self.device.type])
        padded = [self._padded([rows[index] for index in indices]) for indices in slices]
        # looked up for all slices at once: a gradient of the whole table for each slice would
        # cost more than the layers do where the vocabulary is large
        flat = torch.cat([ids.flatten() for ids, _ in padded]).to(self.device)
        embedded = self.model.get_input_embeddings()(flat).split([ids.numel() for ids, _ in padded])
        parts = [
            self._pooled(part.view(*ids.shape, -1), mask.to(self.device))
            for part, (ids, mask) in zip(embedded, padded, strict=True)
        ]
        order = torch.tensor([index for indices in slices for index in indices])
        return torch.cat(parts)[order.argsort().to(self.device)]

    @torch.inference_mode()
    def encode(self, texts: Sequence[str], slice_tokens: int = SLICE_TOKENS) -> np.ndarray:
        """Vectors of texts, in their order: (texts, width), float32, not normalised."""
        self.model.eval()
        rows = self.token_ids(texts)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        vectors = np.empty((len(rows), self.width), dtype=np.float32)
        for start in range(0, len(rows), BLOCK_ROWS):
            block = order[start : start + BLOCK_ROWS]
            pooled = self.vectors([rows[index] for index in block], slice_tokens)
            vectors[block] = (self.projection(pooled) if self.projection else pooled).cpu()
        return vectors

    def save(self, folder: Path) -> None:
        """Writes a folder that `SentenceTransformer(folder)` and `Encoder.load` read alike."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.backend_tokenizer.no_truncation()  # it keeps what its last call asked for
        self.tokenizer.backend_tokenizer.no_padding()
        with quiet_transformers():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        kind = ARCHITECTURES[self.model.config.model_type]
        settings = replace(self.settings, projected=self.projection is not None)
        write_encoder_settings(folder, settings, self.width, kind)
        if self.projection:
            write_projection(folder, self.projection)

    def _padded(self, rows: list[list[int]]) -> tuple[Tensor, Tensor]:
        longest = max(len(row) for row in rows)
        pad = int(self.tokenizer.pad_token_id or 0)
        ids = torch.tensor([row + [pad] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        return ids, mask

    def _pooled(self, embedded: Tensor, mask: Tensor) -> Tensor:
        """Vectors (rows, width) of embedded tokens (rows, tokens, width of the embeddings)."""
        hidden = self.model(inputs_embeds=embedded, attention_mask=mask).last_hidden_state.float()
        if self.settings.pooling == "cls":
            first: Tensor = hidden[:, 0]
            return first
        weights = mask[:, :, None].float()
        mean: Tensor = (hidden * weights).sum(1) / weights.sum(1)
        return mean


def resolve_device(device: str) -> str:
    """`cuda` where there is one if `auto`, else what is asked for."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keeps transformers from printing bars and tables of keys."""
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


def _load_model(folder: Path, kind: Architecture, dropout: float | None) -> Any:
    options = {"add_pooling_layer": False} if kind.has_pooler else {}
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(folder, local_files_only=True)
            if dropout is not None:
                set_dropout(config, dropout)
            model, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # whatever transformers and safetensors raise on a damaged folder
        raise BaseModelError(
            f"the model in {folder} cannot be loaded ({error}): get it again from where it came "
            "from"
        ) from error
    # transformers fills what is missing with random numbers and goes on
    if absent := sorted(report["missing_keys"]):
        raise BaseModelError(
            f"the weights in {folder} lack {absent[0]} and {len(absent) - 1} more: get them again"
        )
    return model


def _load_tokenizer(folder: Path, vocab_size: int) -> Any:
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            backend = tokenizer.backend_tokenizer
    except Exception as error:  # whatever the many tokenizer classes raise
        raise TokenizerError(
            f"the tokenizer in {folder} cannot be loaded ({error}): get it again"
        ) from error
    tokens = special_tokens_of(tokenizer)
    check_tokenizer(backend, tokens, place=folder, vocab_size=vocab_size, masks=False)
    return tokenizer
