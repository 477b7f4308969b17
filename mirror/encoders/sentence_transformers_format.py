"""SentenceTransformer format: the settings files of an encoder's folder.

They are written in the verbose form of older versions, which every reader understands.  Some
servers silently use the wrong pooling with the compact form of sentence-transformers 5.4.
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
POOLING_NEIGHBOURS = ("LayerPooling", "WordWeights", "Dense")
"""Ends of the types of sentence-transformers' modules that may surround `Pooling`."""
LINEAR = "torch.nn.modules.linear.Identity"
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
COMPACT_NAMES = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
"""Our name of each pooling in the compact form of version 5.4."""
WRITTEN_AS: dict[Pooling, Pooling] = {"mean-with-padding": "mean", "first-last": "mean"}
"""The pooling written for sentence-transformers where it lacks ours."""


@dataclass(frozen=True)
class EncoderSettings:
    """How the token vectors of a text become one vector."""

    pooling: Pooling
    max_tokens: int
    projected: bool = False
    """Whether a linear layer follows the pooling (`mirror.encoders.whitening`)."""
    weighted: bool = False
    """Whether tokens have weights in the mean over them (`mirror.encoders.sif_weights`)."""
    prompt: str | None = None
    """As `tuning.prompt`; the tokenizer adds it, this is the record for use with other models."""


def write_encoder_settings(
    folder: Path, settings: EncoderSettings, model: PretrainedConfig, kind: Architecture
) -> None:
    """Write all files that sentence-transformers needs, except model and tokenizer.

    sentence-transformers lacks the pooling `mean-with-padding`: its files say `mean`, and
    `mirror.json` gives the right one to `Encoder.load`.
    """
    width = int(model.hidden_size)
    transformer: dict[str, Any] = {"max_seq_length": settings.max_tokens, "do_lower_case": False}
    if kind.has_pooler:
        transformer["model_args"] = {"add_pooling_layer": False}
    if settings.pooling == "first-last":
        transformer["config_args"] = {"output_hidden_states": True}
        write_layer_weights(folder / LAYERS, width, int(getattr(model, kind.layer_count)))
    pooling = settings.pooling if settings.pooling == "mean-with-padding" else None
    extra = {"pooling": pooling, "prompt": settings.prompt}
    if extra := {name: value for name, value in extra.items() if value is not None}:
        _write_json(folder / EXTRA_FILE, extra)
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
    """Return the settings in an encoder's folder, in either form; None for a plain model.

    Raises:
        BaseModelError: the settings cannot be read, or name a module or pooling that we lack.
    """
    if not (folder / "modules.json").is_file():
        return None
    try:
        modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        layers, weights, dense = (_paths(modules, kind) for kind in POOLING_NEIGHBOURS)
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        length = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        extra_pooling, prompt = _read_extra(folder)
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
            f"the encoder in {folder} pools by {', '.join(map(str, modes)) or 'no mode'}: only "
            f"one of {', '.join(COMPACT_NAMES.values())} can be used"
        )
    if layers not in ([], [LAYERS]) or extra_pooling not in (None, "mean-with-padding"):
        raise BaseModelError(
            f"the encoder in {folder} mixes its layers in an unsupported way: only the mean of the "
            "first and the last layer can be used"
        )
    for paths, supported in ((dense, DENSE), (weights, WEIGHTS)):
        if paths not in ([], [supported]):
            raise BaseModelError(f"{folder} has {', '.join(paths)}: only {supported} can be used")
    name = cast(Pooling, extra_pooling or ("first-last" if layers else modes[0]))
    return EncoderSettings(name, int(max_tokens or 0), bool(dense), bool(weights), prompt)


def _paths(modules: Sequence[Mapping[str, str]], kind: str) -> list[str]:
    return [module["path"] for module in modules if module["type"].endswith(kind)]


def _read_extra(folder: Path) -> tuple[str | None, str | None]:
    """Return pooling and prompt from `mirror.json`; None for a setting that it lacks."""
    if not (folder / EXTRA_FILE).is_file():
        return None, None
    extra = json.loads((folder / EXTRA_FILE).read_text(encoding="utf-8"))
    return extra.get("pooling"), extra.get("prompt")


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
    return {"word_embedding_dimension": width, **chosen, "include_prompt": True}


def _modules(settings: EncoderSettings) -> list[dict[str, Any]]:
    """Return the content of `modules.json`: the modules that encode a text, in order."""
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
