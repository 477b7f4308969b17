"""The files that make a folder a SentenceTransformer, beside the model and the tokenizer.

Written in the verbose older form, which every reader understands: the compact form of
sentence-transformers 5.4 and newer is pooled wrongly, and silently, by some servers.
"""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from safetensors.numpy import save_file

from mirror.encoders.architectures import Architecture
from mirror.errors import BaseModelError
from mirror.tuning_config import FIRST_LAYER, Pooling

if TYPE_CHECKING:
    from transformers import PretrainedConfig

LAYERS = "1_WeightedLayerPooling"
WEIGHTS = "1_WordWeights"
DENSE = "2_Dense"
AROUND_POOLING = ("LayerPooling", "WordWeights", "Dense")
"""How the names of sentence-transformers' modules end that may stand around its `Pooling`."""
LINEAR = "torch.nn.modules.linear.Identity"
"""What follows a linear layer, as sentence-transformers names it."""
OWN_FILE = "mirror.json"
"""Says what sentence-transformers has no word for: a mean over padding too, or a prompt's words."""
POOLING_KEYS: dict[str, Pooling | None] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": None,
    "pooling_mode_mean_sqrt_len_tokens": None,
    "pooling_mode_weightedmean_tokens": None,
    "pooling_mode_lasttoken": "last",
}
"""By sentence-transformers' name for it, what we call a pooling; nothing where we lack it."""
COMPACT_NAMES = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
"""Its names in the form of version 5.4."""
NEAREST: dict[Pooling, Pooling] = {"mean-with-padding": "mean", "first-last": "mean"}
"""What the module Pooling is told in these cases."""


@dataclass(frozen=True)
class EncoderSettings:
    """What turns a model's token vectors into one vector for a text."""

    pooling: Pooling
    max_tokens: int
    projected: bool = False
    """Whether a linear layer follows the pooling (`mirror.encoders.whitening`)."""
    weighted: bool = False
    """Whether tokens have weights in the mean over them (`mirror.encoders.sif_weights`)."""
    prompt: str | None = None
    """As `tuning.prompt`, for those who want another model read likewise; the tokenizer has it."""


def write_encoder_settings(
    folder: Path, settings: EncoderSettings, model: PretrainedConfig, kind: Architecture
) -> None:
    """Writes everything that sentence-transformers needs beside model and tokenizer.

    A mean over padding too is beyond sentence-transformers: it gets the plain mean, and
    `mirror.json` tells `Encoder.load` the truth.
    """
    width = int(model.hidden_size)
    transformer: dict[str, Any] = {"max_seq_length": settings.max_tokens, "do_lower_case": False}
    if kind.has_pooler:
        transformer["model_args"] = {"add_pooling_layer": False}
    if settings.pooling == "first-last":
        transformer["config_args"] = {"output_hidden_states": True}
        write_layer_weights(folder / LAYERS, width, int(getattr(model, kind.layer_count)))
    pooling = settings.pooling if settings.pooling == "mean-with-padding" else None
    told = {"pooling": pooling, "prompt": settings.prompt}
    if own := {name: value for name, value in told.items() if value is not None}:
        _write_json(folder / OWN_FILE, own)
    versions = {
        name: importlib.metadata.version(distribution)
        for name, distribution in {
            "sentence_transformers": "sentence-transformers",
            "transformers": "transformers",
            "pytorch": "torch",
        }.items()
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write_json(folder / "modules.json", _modules(settings))
    _write_json(folder / "1_Pooling" / "config.json", _pooling_config(settings, width))
    _write_json(folder / "sentence_bert_config.json", transformer)
    _write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": versions,
            "prompts": {},
            "default_prompt_name": None,
            "similarity_fn_name": "cosine",
        },
    )


def read_encoder_settings(folder: Path) -> EncoderSettings | None:
    """The settings of an encoder folder, in either form; nothing for a plain model.

    Raises:
        BaseModelError: they cannot be read, or ask for a pooling that we do not have.
    """
    if not (folder / "modules.json").is_file():
        return None
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        layers, weights, dense = (_paths(modules, kind) for kind in AROUND_POOLING)
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        length = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        said, prompt = _own_words(folder)
        modes = [name or key for key, name in POOLING_KEYS.items() if pooling.get(key)]
        compact = pooling.get("pooling_mode")
        modes += [] if compact is None else [COMPACT_NAMES.get(compact, compact)]
        max_tokens = length.get("max_seq_length")
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise BaseModelError(
            f"the encoder in {folder} has settings that cannot be read ({error}): get it again"
        ) from error
    if len(modes) != 1 or modes[0] not in COMPACT_NAMES.values():
        raise BaseModelError(
            f"the encoder in {folder} pools by {', '.join(map(str, modes)) or 'nothing'}: only "
            f"one of {', '.join(COMPACT_NAMES.values())} can be used"
        )
    if layers not in ([], [LAYERS]) or said not in (None, "mean-with-padding"):
        raise BaseModelError(
            f"the encoder in {folder} mixes its layers in a way that we do not have: only the mean "
            "of the first and the last, as we save it"
        )
    for found, ours in ((dense, DENSE), (weights, WEIGHTS)):
        if found not in ([], [ours]):
            raise BaseModelError(f"{folder} has {', '.join(found)}: only {ours} can be used")
    name = cast(Pooling, said or ("first-last" if layers else modes[0]))
    return EncoderSettings(name, int(max_tokens or 0), bool(dense), bool(weights), prompt)


def _paths(modules: Sequence[Mapping[str, str]], kind: str) -> list[str]:
    return [module["path"] for module in modules if module["type"].endswith(kind)]


def _own_words(folder: Path) -> tuple[str | None, str | None]:
    """What `mirror.json` says of pooling and of a prompt, if anything."""
    if not (folder / OWN_FILE).is_file():
        return None, None
    said = json.loads((folder / OWN_FILE).read_text(encoding="utf-8"))
    return said.get("pooling"), said.get("prompt")


def write_layer_weights(folder: Path, width: int, layers: int) -> None:
    """Writes the module that takes the mean of the first and the last layer's vectors."""
    weights = np.zeros(layers, dtype=np.float32)
    weights[0] += 1
    weights[-1] += 1  # of one layer, both
    folder.mkdir(exist_ok=True)
    config = {
        "word_embedding_dimension": width,
        "layer_start": FIRST_LAYER,
        "num_hidden_layers": layers,
    }
    _write_json(folder / "config.json", config)
    save_file({"layer_weights": weights}, folder / "model.safetensors")


def _pooling_config(settings: EncoderSettings, width: int) -> dict[str, Any]:
    mode = NEAREST.get(settings.pooling, settings.pooling)
    chosen = {key: name == mode for key, name in POOLING_KEYS.items()}
    return {"word_embedding_dimension": width, **chosen, "include_prompt": True}


def _modules(settings: EncoderSettings) -> list[dict[str, Any]]:
    """What sentence-transformers runs a text through, in order."""
    steps = [("Transformer", "")]
    steps += [("WeightedLayerPooling", LAYERS)] if settings.pooling == "first-last" else []
    steps += [("WordWeights", WEIGHTS)] if settings.weighted else []
    steps += [("Pooling", "1_Pooling")]
    steps += [("Dense", DENSE)] if settings.projected else []
    return [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(steps)
    ]


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
