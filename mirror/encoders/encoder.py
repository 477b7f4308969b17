"""An encoder: a transformer, its tokenizer, and the pooling that makes one vector of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mirror.encoders.architectures import ARCHITECTURES
from mirror.encoders.base_model import architecture_of, read_config
from mirror.encoders.cls_only_layer import compute_cls_only
from mirror.encoders.cpu_kernels import cpu_ops
from mirror.encoders.length_buckets import MicroBatch, bucket_by_length
from mirror.encoders.model_loading import load_model, load_tokenizer, quiet_transformers
from mirror.encoders.parallel import lane_count, worker_threads
from mirror.encoders.pooling import pool
from mirror.encoders.prompt import check_room, prompted
from mirror.encoders.sentence_transformers_format import (
    EncoderSettings,
    read_encoder_settings,
    write_encoder_settings,
)
from mirror.encoders.sif_weights import read_token_weights, write_token_weights
from mirror.encoders.whitening import Projection, read_projection, write_projection
from mirror.errors import BaseModelError
from mirror.tuning_config import FIRST_LAYER, WEIGHABLE, Pooling

if TYPE_CHECKING:
    from transformers import PretrainedConfig

SLICE_TOKENS = 4_096
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
        token_weights: Tensor | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.projection = projection
        self.token_weights = token_weights

    @classmethod
    def load(
        cls,
        folder: Path,
        pooling: Pooling | None = None,
        max_tokens: int | None = None,
        *,
        dropout: float | None = None,
        device: str = "auto",
        prompt: str | None = None,
        lowercase: bool = False,
    ) -> Encoder:
        """Loads a masked language model or a saved encoder, in fp32.

        Args:
            folder: safetensors weights, configuration and tokenizer.
            pooling: nothing means what the folder says; a plain model says nothing.
            max_tokens: likewise; longer texts are cut.  Never above what the model can take.
            dropout: the rate for training, in every layer; nothing leaves the model's own.
            device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
            prompt: as `tuning.prompt`; nothing leaves the tokenizer as it is.
            lowercase: as `tuning.lowercase`; false leaves the tokenizer as it is.

        Raises:
            BaseModelError: the folder cannot be loaded whole, or no pooling is known.
            TokenizerError: the tokenizer does not fit the model, or the prompt either of them.
        """
        kind = architecture_of(read_config(folder), folder)
        own = read_encoder_settings(folder) or _settings_of_plain(folder, pooling)
        settings = replace(own, pooling=pooling or own.pooling, prompt=prompt or own.prompt)
        model = load_model(folder, kind, dropout)
        if settings.pooling == "cls":
            compute_cls_only(model)
        tokenizer = load_tokenizer(folder, model.config.vocab_size, lowercase=lowercase)
        tokenizer = prompted(tokenizer, prompt, settings.pooling, folder)
        fitted = _read_fitted(folder, settings, model.config)
        made = cls(model.to(resolve_device(device)).eval(), tokenizer, settings, *fitted)
        length = made.longest(max_tokens or own.max_tokens)
        check_room(tokenizer.backend_tokenizer, length, folder)
        made.settings = replace(settings, max_tokens=length)
        return made

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = self.model.device
        return device

    @property
    def width(self) -> int:
        """Length of a vector."""
        return int(self.model.config.hidden_size)

    def longest(self, wanted: int | None) -> int:
        """Tokens of a text that are read: as many as wanted, or as the model can take."""
        config = self.model.config
        kind = ARCHITECTURES[config.model_type]
        limit = kind.longest_text(int(config.max_position_embeddings))
        return min(wanted or limit, limit)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text, special tokens included, cut to `max_tokens`, not padded."""
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(
            list(texts), truncation=True, max_length=self.settings.max_tokens
        )["input_ids"]
        return ids

    def vectors(
        self,
        rows: Sequence[list[int]],
        tokens_per_microbatch: int = SLICE_TOKENS,
        *,
        seed: int | None = None,
    ) -> Tensor:
        """Pooled vectors of tokenised texts, in their order: (rows, width), fp32.

        With gradients if those are on, and before any projection, which is not tuned.  Rows are
        encoded in slices of like length, with hardly any padding.

        Args:
            rows: token ids.
            tokens_per_microbatch: tokens encoded at a time.
            seed: what dropout is drawn from; nothing leaves it to torch's generator.
        """
        slices = self.slices(rows, tokens_per_microbatch)
        parts = [
            self.pooled(part, cut, None if seed is None else seed + number)
            for number, (part, cut) in enumerate(zip(self.embedded(slices), slices, strict=True))
        ]
        return self.in_order(parts, slices)

    def slices(
        self,
        rows: Sequence[list[int]],
        tokens_per_microbatch: int,
        widths: Sequence[int] | None = None,
    ) -> list[MicroBatch]:
        """Rows in slices of like length, padded to `widths` at least, one for each row."""
        everywhere = self.settings.max_tokens if self.settings.pooling == "mean-with-padding" else 0
        widths = [max(width, everywhere) for width in widths or map(len, rows)]
        cuts = bucket_by_length(widths, tokens_per_microbatch, MAX_PADDING[self.device.type])
        return [self._slice(rows, widths, indices) for indices in cuts]

    def embedded(self, slices: Sequence[MicroBatch]) -> tuple[Tensor, ...]:
        """Word embeddings of each slice: (rows, tokens, width of the embeddings).

        Looked up for all slices at once: a gradient of the whole table for each slice would cost
        more than the layers do where the vocabulary is large.
        """
        flat = torch.cat([cut.ids.flatten() for cut in slices]).to(self.device)
        looked_up = self.model.get_input_embeddings()(flat)
        parts = looked_up.split([cut.ids.numel() for cut in slices])
        return tuple(part.view(*cut.ids.shape, -1) for part, cut in zip(parts, slices, strict=True))

    def pooled(
        self,
        embedded: Tensor,
        cut: MicroBatch,
        seed: int | None = None,
        shadows: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Vectors (rows, width) of a slice's embedded tokens; for `shadows` see `Arithmetic`."""
        mask = cut.mask.to(self.device)
        layers = self.settings.pooling == "first-last"
        with cpu_ops(self.device, seed, shadows):
            output = self.model(
                inputs_embeds=embedded, attention_mask=mask, output_hidden_states=layers
            )
        hidden = (
            (output.hidden_states[FIRST_LAYER], output.hidden_states[-1])
            if layers
            else (output.last_hidden_state,)
        )
        return pool(hidden, self._weighed(mask, cut.ids), self.settings.pooling)

    def in_order(self, parts: Sequence[Tensor], slices: Sequence[MicroBatch]) -> Tensor:
        """The slices' vectors in the order of the rows that the slices were cut from."""
        order = torch.tensor([index for cut in slices for index in cut.rows])
        return torch.cat(list(parts))[order.argsort().to(self.device)]

    def encode(self, texts: Sequence[str], tokens_per_microbatch: int = SLICE_TOKENS) -> np.ndarray:
        """Vectors of texts, in their order: (texts, width), float32, not normalised.

        On as many threads as torch has in the caller's; their number changes no result.
        """
        self.model.eval()
        rows = self.token_ids(texts)
        slices = self.slices(rows, tokens_per_microbatch)
        vectors = np.empty((len(rows), self.width), dtype=np.float32)

        @torch.inference_mode()  # of the thread that it is called in
        def encode_slice(number: int) -> None:
            cut = slices[number]
            pooled = self.pooled(self.embedded([cut])[0], cut)
            vectors[cut.rows] = (self.projection(pooled) if self.projection else pooled).cpu()

        with worker_threads(lane_count(self.device)) as lanes:
            lanes.each(encode_slice, len(slices))
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
        settings = replace(
            self.settings,
            projected=self.projection is not None,
            weighted=self.token_weights is not None,
        )
        write_encoder_settings(folder, settings, self.model.config, kind)
        if self.token_weights is not None:
            write_token_weights(folder, self.token_weights, self.tokenizer.get_vocab())
        if self.projection:
            write_projection(folder, self.projection)

    def _weighed(self, mask: Tensor, ids: Tensor) -> Tensor:
        """What each token counts in a mean: 1, or its weight, and 0 for padding."""
        if self.token_weights is None:
            return mask
        return mask * self.token_weights[ids].to(mask.device)

    def _slice(
        self, rows: Sequence[list[int]], widths: Sequence[int], indices: list[int]
    ) -> MicroBatch:
        width = max(widths[index] for index in indices)
        pad = int(self.tokenizer.pad_token_id or 0)
        chosen = [rows[index] for index in indices]
        ids = torch.tensor([row + [pad] * (width - len(row)) for row in chosen])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in chosen])
        return MicroBatch(ids, mask, indices)


def _read_fitted(
    folder: Path, settings: EncoderSettings, model: PretrainedConfig
) -> tuple[Projection | None, Tensor | None]:
    """What was fitted to a sample: a last layer, and weights of tokens."""
    projection = read_projection(folder, int(model.hidden_size)) if settings.projected else None
    if settings.weighted and settings.pooling in WEIGHABLE:
        return projection, read_token_weights(folder, int(model.vocab_size))
    return projection, None


def _settings_of_plain(folder: Path, pooling: Pooling | None) -> EncoderSettings:
    if pooling is None:
        raise BaseModelError(
            f"{folder} is a plain model and says nothing of pooling: choose cls or mean"
        )
    return EncoderSettings(pooling, max_tokens=0)


def resolve_device(device: str) -> str:
    """`cuda` where there is one if `auto`, else what is asked for."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device
