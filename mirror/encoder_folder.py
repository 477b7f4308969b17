"""The files that make a folder a SentenceTransformer, beside the model and the tokenizer.

Written in the verbose older form, which every reader understands: the compact form of
sentence-transformers 5.4 and newer is pooled wrongly, and silently, by some servers.
"""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from mirror.architectures import Architecture
from mirror.errors import BaseModelError
from mirror.tuning_settings import Pooling

MODULES = (
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
)
DENSE = "2_Dense"
DENSE_MODULE = {
    "idx": 2,
    "name": "2",
    "path": DENSE,
    "type": "sentence_transformers.models.Dense",
}
POOLING_KEYS = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
OTHER_POOLING_KEYS = (
    "pooling_mode_max_tokens",
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)


@dataclass(frozen=True)
class EncoderSettings:
    """What turns a model's token vectors into one vector for a text."""

    pooling: Pooling
    max_tokens: int
    projected: bool = False
    """Whether a linear layer follows the pooling (`mirror.whitening`)."""


def write_encoder_settings(
    folder: Path, settings: EncoderSettings, width: int, kind: Architecture
) -> None:
    """Writes everything that sentence-transformers needs beside model and tokenizer."""
    pooling: dict[str, Any] = {"word_embedding_dimension": width}
    pooling |= {key: name == settings.pooling for name, key in POOLING_KEYS.items()}
    pooling |= dict.fromkeys(OTHER_POOLING_KEYS, False)
    transformer: dict[str, Any] = {"max_seq_length": settings.max_tokens, "do_lower_case": False}
    if kind.has_pooler:
        transformer["model_args"] = {"add_pooling_layer": False}
    versions = {
        name: importlib.metadata.version(distribution)
        for name, distribution in {
            "sentence_transformers": "sentence-transformers",
            "transformers": "transformers",
            "pytorch": "torch",
        }.items()
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    modules = [*MODULES, *([DENSE_MODULE] if settings.projected else [])]
    _write_json(folder / "modules.json", modules)
    _write_json(folder / "1_Pooling" / "config.json", {**pooling, "include_prompt": True})
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
        projected = any(module["path"] == DENSE for module in modules)
        pooling = json.loads((folder / "1_Pooling" / "config.json").read_text(encoding="utf-8"))
        length = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        modes = [name for name, key in POOLING_KEYS.items() if pooling.get(key)]
        modes += [pooling["pooling_mode"]] if "pooling_mode" in pooling else []
        others = [key for key in OTHER_POOLING_KEYS if pooling.get(key)]
        max_tokens = length.get("max_seq_length")
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise BaseModelError(
            f"the encoder in {folder} has settings that cannot be read ({error}): get it again"
        ) from error
    if len(modes) != 1 or modes[0] not in POOLING_KEYS or others:
        raise BaseModelError(
            f"the encoder in {folder} pools by {', '.join([*modes, *others]) or 'nothing'}: only "
            "cls or mean, and one of them, can be used"
        )
    return EncoderSettings(cast(Pooling, modes[0]), int(max_tokens or 0), projected)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
