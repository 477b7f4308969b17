"""Encoder: a transformer, its tokenizer, and pooling to one vector for each text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from mirror.encoders.architectures import ARCHITECTURES, model_positions
from mirror.encoders.cls_only_layer import compute_cls_only
from mirror.encoders.cpu_kernels import cpu_ops
from mirror.encoders.head import Dense, append_layer, head_layers, read_head, write_head
from mirror.encoders.length_buckets import MicroBatch, bucket_by_length
from mirror.encoders.model_config import architecture_of, read_config
from mirror.encoders.model_loading import load_model, quiet_transformers, resolve_device
from mirror.encoders.pooling import leave_out, pool
from mirror.encoders.prompt import check_prefix_room, check_room, with_prompt
from mirror.encoders.sentence_transformers_format import EncoderSettings, write_encoder_settings
from mirror.encoders.sentence_transformers_reader import (
    check_reading,
    read_encoder_settings,
)
from mirror.encoders.sif_weights import read_token_weights, write_token_weights
from mirror.encoders.tokenizer_loading import load_tokenizer
from mirror.errors import BaseModelError
from mirror.parallel import worker_count, worker_threads
from mirror.tuning_config import FIRST_LAYER, WEIGHABLE, Pooling

if TYPE_CHECKING:
    from transformers import PretrainedConfig

TOKENS_PER_MICROBATCH = 4_096
MAX_PADDING = {"cpu": 128, "cuda": 2_048}
"""Tokens of padding that cost about as much as one more micro-batch."""


class Encoder:
    """Encoder of texts as vectors; see `Encoder.load`."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        settings: EncoderSettings,
        head: nn.Sequential | None = None,
        token_weights: Tensor | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.settings = settings
        self.head = (nn.Sequential() if head is None else head).to(model.device)
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
        """Load a masked language model or a saved encoder, in fp32.

        Args:
            folder: safetensors weights, configuration and tokenizer.
            pooling: None for the folder's setting; a plain model has none.
            max_tokens: longer texts are truncated; None for the folder's setting.
            dropout: the rate for training, in every layer; None for the model's own.
            device: `cpu`, `cuda`, or `auto` for CUDA where there is one.
            prompt: as `tuning.prompt`; None leaves the tokenizer as it is.
            lowercase: as `tuning.lowercase`; false leaves the tokenizer as it is.

        Raises:
            BaseModelError: the folder is incomplete or damaged, or cannot be pooled so.
            TokenizerError: the tokenizer does not fit the model, or the prompt either of them.
        """
        kind = architecture_of(read_config(folder), folder)
        settings = _chosen_settings(folder, pooling, prompt)
        model = load_model(folder, kind, dropout)
        if settings.pooling == "cls":
            compute_cls_only(model)
        tokenizer = load_tokenizer(folder, model.config, settings, lowercase=lowercase)
        tokenizer = with_prompt(tokenizer, prompt, settings.pooling, folder)
        model = model.to(resolve_device(device)).eval()
        encoder = cls(model, tokenizer, *_read_fitted(folder, settings, model.config))
        length = encoder.max_seq_length(max_tokens or settings.max_tokens)
        check_room(tokenizer.backend_tokenizer, length, folder)
        encoder.settings = replace(encoder.settings, max_tokens=length)
        check_prefix_room(settings.prefix, len(encoder.token_ids([""])[0]), length, folder)
        return encoder

    @property
    def device(self) -> torch.device:
        """The model's device."""
        device: torch.device = self.model.device
        return device

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        widths = [len(layer.weight) for layer in self.head if isinstance(layer, Dense)]
        return widths[-1] if widths else int(self.model.config.hidden_size)

    @property
    def prefix_tokens(self) -> int:
        """How many tokens the words take that are put before every text."""
        prefix = self.settings.prefix.rstrip()
        return len(self.tokenizer(prefix, add_special_tokens=False)["input_ids"]) if prefix else 0

    @property
    def left_out_tokens(self) -> int:
        """How many first tokens of a text a mean leaves out: class token and prompt, mostly 0."""
        return len(self.token_ids([""])[0]) - 1 if self.settings.leaves_prompt_out else 0

    def append_layer(self, layer: Dense) -> None:
        """Add a linear layer; normalised vectors are normalised again after it."""
        self.head = append_layer(self.head, layer.to(self.device))
        self.settings = replace(self.settings, head=head_layers(self.head))

    def max_seq_length(self, max_tokens: int | None) -> int:
        """Return `max_tokens`, or the model's limit if that is lower or none is given."""
        config = self.model.config
        kind = ARCHITECTURES[config.model_type]
        limit = kind.longest_text(int(config.max_position_embeddings), config.pad_token_id)
        return min(max_tokens or limit, limit)

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return ids of each text with special tokens, truncated to `max_tokens`, not padded.

        The encoder's default prompt is put before each text.
        """
        if not texts:
            return []
        prefix = self.settings.prefix
        ids: list[list[int]] = self.tokenizer(
            [prefix + text for text in texts], truncation=True, max_length=self.settings.max_tokens
        )["input_ids"]
        return ids

    def microbatches(
        self,
        rows: Sequence[list[int]],
        tokens_per_microbatch: int,
        widths: Sequence[int] | None = None,
    ) -> list[MicroBatch]:
        """Return micro-batches of rows of similar length.

        Args:
            rows: token ids.
            tokens_per_microbatch: tokens of a micro-batch at most, padding included.
            widths: tokens that each row is padded to at least; None for its own length.
        """
        least = self.settings.max_tokens if self.settings.pooling == "mean-with-padding" else 0
        widths = [max(width, least) for width in widths or map(len, rows)]
        buckets = bucket_by_length(widths, tokens_per_microbatch, MAX_PADDING[self.device.type])
        return [self._pad(rows, widths, indices) for indices in buckets]

    def embed_tokens(self, microbatches: Sequence[MicroBatch]) -> tuple[Tensor, ...]:
        """Return the word embeddings of each micro-batch: (rows, tokens, embedding size).

        Looked up for all micro-batches at once: a gradient of the whole table for each of them
        would cost more than the layers do if the vocabulary is large.
        """
        ids = torch.cat([microbatch.ids.flatten() for microbatch in microbatches]).to(self.device)
        embedded = self.model.get_input_embeddings()(ids)
        parts = embedded.split([microbatch.ids.numel() for microbatch in microbatches])
        return tuple(
            part.view(*microbatch.ids.shape, -1)
            for part, microbatch in zip(parts, microbatches, strict=True)
        )

    def forward(
        self,
        embedded: Tensor,
        microbatch: MicroBatch,
        seed: int | None = None,
        shadows: Mapping[int, Tensor] | None = None,
    ) -> Tensor:
        """Return the vectors (rows, dimension) of a micro-batch.

        Args:
            embedded: its word embeddings, from `embed_tokens`.
            microbatch: the same.
            seed: of dropout; None for torch's generator.
            shadows: bf16 copies of weights, see `FastCpuOps`.
        """
        mask = microbatch.mask.to(self.device)
        with_layers = self.settings.pooling == "first-last"
        with cpu_ops(self.device, seed, shadows):
            output = self.model(
                inputs_embeds=embedded,
                attention_mask=mask,
                output_hidden_states=with_layers,
                **model_positions(self.model.config, microbatch.ids.to(self.device)),
            )
        hidden = (
            (output.hidden_states[FIRST_LAYER], output.hidden_states[-1])
            if with_layers
            else (output.last_hidden_state,)
        )
        pooled = pool(hidden, self._token_weights(mask, microbatch.ids), self.settings.pooling)
        if not len(self.head):
            return pooled
        with torch.autocast(self.device.type, enabled=False):  # `pooled` is fp32
            vectors: Tensor = self.head(pooled)
        return vectors

    def encode(
        self, texts: Sequence[str], tokens_per_microbatch: int = TOKENS_PER_MICROBATCH
    ) -> np.ndarray:
        """Return vectors of texts, in their order: (texts, dimension), float32.

        They are normalised only if the head ends so.

        Uses as many threads as torch has in the calling thread; results do not depend on it.
        """
        self.model.eval()
        rows = self.token_ids(texts)
        microbatches = self.microbatches(rows, tokens_per_microbatch)
        vectors = np.empty((len(rows), self.dimension), dtype=np.float32)

        @torch.inference_mode()  # of the thread that calls it
        def encode_microbatch(number: int) -> None:
            microbatch = microbatches[number]
            encoded = self.forward(self.embed_tokens([microbatch])[0], microbatch)
            vectors[microbatch.rows] = encoded.cpu()

        with worker_threads(worker_count(self.device)) as threads:
            threads.map(encode_microbatch, len(microbatches))
        return vectors

    def save(self, folder: Path) -> None:
        """Write a folder that `SentenceTransformer(folder)` and `Encoder.load` can read."""
        folder.mkdir(parents=True, exist_ok=True)
        self.tokenizer.backend_tokenizer.no_truncation()  # otherwise saved with the tokenizer
        self.tokenizer.backend_tokenizer.no_padding()
        with quiet_transformers():
            self.model.save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)
        kind = ARCHITECTURES[self.model.config.model_type]
        settings = replace(self.settings, weighted=self.token_weights is not None)
        write_encoder_settings(folder, settings, self.model.config, kind)
        if self.token_weights is not None:
            write_token_weights(folder, self.token_weights, self.tokenizer.get_vocab())
        write_head(folder, self.head)

    def _token_weights(self, mask: Tensor, ids: Tensor) -> Tensor:
        """Return each token's weight in a mean: 1 or its SIF weight, and 0 if it is left out."""
        if left_out := self.left_out_tokens:
            return leave_out(mask, left_out)
        if self.token_weights is None:
            return mask
        return mask * self.token_weights[ids].to(mask.device)

    def _pad(
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
) -> tuple[EncoderSettings, nn.Sequential, Tensor | None]:
    """Return the settings, the head and the token weights."""
    head = read_head(folder, settings.head, int(model.hidden_size))
    settings = replace(settings, head=head_layers(head))
    if settings.weighted and settings.pooling in WEIGHABLE:
        return settings, head, read_token_weights(folder, int(model.vocab_size))
    return settings, head, None


def _chosen_settings(folder: Path, pooling: Pooling | None, prompt: str | None) -> EncoderSettings:
    """Return a folder's settings with the pooling and the prompt that are asked for."""
    saved = read_encoder_settings(folder)
    if saved is not None:
        check_reading(saved, pooling, prompt, folder)
        return replace(saved, pooling=pooling or saved.pooling, prompt=prompt or saved.prompt)
    if pooling is None:
        raise BaseModelError(
            f"{folder} is a plain model without a pooling setting: choose cls or mean"
        )
    return EncoderSettings(pooling, max_tokens=0, prompt=prompt)
