"""SentenceTransformer format: the settings files of an encoder's folder.

They are written in the verbose form of older versions, which every reader understands.  Some
servers silently use the wrong pooling with the compact form of sentence-transformers 5.4.  For
reading them see `mirror.encoders.sentence_transformers_reader`.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from safetensors.numpy import save_file

from mirror.encoders.architectures import Architecture
from mirror.tuning_config import FIRST_LAYER, Pooling

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LAYERS = "1_WeightedLayerPooling"
WEIGHTS = "1_WordWeights"
IDENTITY = "torch.nn.modules.linear.Identity"
"""Activation function of a `Dense` module that is linear."""
EXTRA_FILE = "mirror.json"
"""Settings that sentence-transformers lacks: the pooling `mean-with-padding`, and the prompt."""
POOLING_KEYS: dict[str, Pooling | None] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": None,
    "pooling_mode_mean_sqrt_len_tokens": None,
    "pooling_mode_weightedmean_tokens": None,
    "pooling_mode_lasttoken": "last",
}
"""Our name of each pooling of sentence-transformers; None for those that we lack."""
VERSIONS = {
    "sentence_transformers": "sentence-transformers",
    "transformers": "transformers",
    "pytorch": "torch",
}
"""The packages whose versions are written, by the names that are written for them."""
WRITTEN_AS: dict[Pooling, Pooling] = {"mean-with-padding": "mean", "first-last": "mean"}
"""The pooling written for sentence-transformers where it lacks ours."""


@dataclass(frozen=True)
class HeadLayer:
    """A layer after pooling."""

    kind: Literal["Dense", "Normalize"]
    activation: str = IDENTITY
    """Dense: the full name of a class of torch."""
    width: int = 0
    """Dense: the dimension of its output."""
    path: str = field(default="", compare=False)
    """Dense: its folder, in an encoder that was read; empty if it cuts vectors to its width."""
    has_residual: bool = False
    """Dense: whether its input is added to its output."""


@dataclass(frozen=True)
class EncoderSettings:
    """How a text becomes one vector: its tokens, their pooling, and the layers after it."""

    pooling: Pooling
    max_tokens: int
    """0 if the folder says none."""
    head: tuple[HeadLayer, ...] = ()
    """The layers after pooling (`mirror.encoders.head`)."""
    weighted: bool = False
    """Whether tokens have weights in the mean over them (`mirror.encoders.sif_weights`)."""
    prompt: str | None = None
    """As `tuning.prompt`; the tokenizer adds it, this is the record for use with other models."""
    prompts: Mapping[str, str] = field(default_factory=dict)
    """sentence-transformers' prompts by name: words that are put before a text."""
    default_prompt: str | None = None
    """The name of the prompt that is put before every text; None for none."""
    include_prompt: bool = True
    """Whether the tokens of such a prompt are pooled."""
    lowercase: bool = False
    """Whether texts are lower-cased before they are tokenized."""

    @property
    def prefix(self) -> str:
        """The words that are put before every text; empty if there are none."""
        return self.prompts[self.default_prompt] if self.default_prompt else ""

    @property
    def leaves_prompt_out(self) -> bool:
        """Whether the tokens of the words before every text are not pooled."""
        return bool(self.prefix) and not self.include_prompt

    @property
    def fixes_pooling(self) -> bool:
        """Whether a linear layer follows, which was fitted to vectors of this pooling."""
        return any(layer.kind == "Dense" for layer in self.head)

    @property
    def is_normalised(self) -> bool:
        """Whether vectors have length 1."""
        return bool(self.head) and self.head[-1].kind == "Normalize"


def write_encoder_settings(
    folder: Path, settings: EncoderSettings, model: PretrainedConfig, kind: Architecture
) -> None:
    """Write all files that sentence-transformers needs, except model and tokenizer.

    sentence-transformers lacks the pooling `mean-with-padding`: its files say `mean`, and
    `mirror.json` gives the right one to `Encoder.load`.
    """
    width = int(model.hidden_size)
    transformer: dict[str, Any] = {
        "max_seq_length": settings.max_tokens,
        "do_lower_case": settings.lowercase,
    }
    if kind.has_pooler:
        transformer["model_args"] = {"add_pooling_layer": False}
    if settings.pooling == "first-last":
        transformer["config_args"] = {"output_hidden_states": True}
        write_layer_weights(folder / LAYERS, width, int(getattr(model, kind.layer_count)))
    pooling = settings.pooling if settings.pooling == "mean-with-padding" else None
    extra = {"pooling": pooling, "prompt": settings.prompt}
    if extra := {name: value for name, value in extra.items() if value is not None}:
        _write_json(folder / EXTRA_FILE, extra)
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write_json(folder / "modules.json", _modules(settings))
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(settings, width))
    _write_json(folder / "sentence_bert_config.json", transformer)
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {name: importlib.metadata.version(VERSIONS[name]) for name in VERSIONS},
            "prompts": dict(settings.prompts),
            "default_prompt_name": settings.default_prompt,
            "similarity_fn_name": "cosine",
        },
    )


def write_layer_weights(folder: Path, width: int, layers: int) -> None:
    """Write the module that takes the mean of the first and the last layer's vectors."""
    weights = np.zeros(layers, dtype=np.float32)
    weights[0] += 1
    weights[-1] += 1  # a single layer is both
    folder.mkdir(exist_ok=True)
    config = {
        "word_embedding_dimension": width,
        "layer_start": FIRST_LAYER,
        "num_hidden_layers": layers,
    }
    _write_json(folder / "config.json", config)
    save_file({"layer_weights": weights}, folder / "model.safetensors")


def _pooling_config(settings: EncoderSettings, width: int) -> dict[str, Any]:
    mode = WRITTEN_AS.get(settings.pooling, settings.pooling)
    chosen = {key: name == mode for key, name in POOLING_KEYS.items()}
    return {"word_embedding_dimension": width, **chosen, "include_prompt": settings.include_prompt}


def _modules(settings: EncoderSettings) -> list[dict[str, Any]]:
    """Return the content of `modules.json`: the modules that encode a text, in order."""
    steps = [("Transformer", "")]
    steps += [("WeightedLayerPooling", LAYERS)] if settings.pooling == "first-last" else []
    steps += [("WordWeights", WEIGHTS)] if settings.weighted else []
    steps += [("Pooling", "1_Pooling")]
    steps += zip([layer.kind for layer in settings.head], head_paths(settings.head), strict=True)
    return [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(steps)
    ]


def head_paths(head: Sequence[HeadLayer]) -> list[str]:
    """Return the folder in which each layer after pooling is written."""
    return [f"{number}_{layer.kind}" for number, layer in enumerate(head, start=2)]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
