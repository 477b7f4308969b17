"""Defaults of tuning: of each level, of each mode, and of views of documents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OF_BASE = ("pooling", "max_tokens")
"""Settings that a recipe leaves to its base (`mirror.encoders.base_settings`), except in mode
paper."""
_SHORT = {"epochs": 2, "max_tokens": 25, "pooling": "cls"}
LEVEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "word": {**_SHORT, "temperature": 0.2, "mask_length": 0},
    "name": {**_SHORT, "temperature": 0.04, "mask_length": 2},
    "sentence": {
        "temperature": 0.04,
        "mask_length": 5,
        "epochs": 1,
        "max_tokens": 128,
        "pooling": "mean",
    },
}
# Training pads to `max_tokens`, the official evaluation to 64 (docs/official-code.md, fault 1).
_OFFICIAL = {
    "masking": "characters-paper",
    "duplicates": "negatives",
    "lowercase": True,
    "inference_max_tokens": 64,
}
MODE_DEFAULTS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "paper": {
        "word": _OFFICIAL,
        "name": _OFFICIAL,
        "sentence": {**_OFFICIAL, "max_tokens": 50, "pooling": "mean-with-padding"},
    },
}

DOCUMENT_DEFAULTS: Mapping[str, Any] = {
    "temperature": 0.05,
    "epochs": 1,
    "max_tokens": 96,
    "batch_size": 128,
    "warmup_ratio": 0.1,
    "lr_scheduler": "linear",
    "learning_rate": None,
    "validation_documents": 200,
    "merge_shares": (0.5, 0.75, 1.0),
}
"""Defaults of views of documents, whose texts are longer than strings."""


def fill_tuning(level: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe's `[tuning]`, completed with the defaults of its level, mode and views.

    Complete for a plain model: a base that is an encoder has its own values of `OF_BASE`.
    """
    of_level = LEVEL_DEFAULTS.get(level, {})
    of_mode = MODE_DEFAULTS.get(str(given.get("mode", "default")), {}).get(level, {})
    of_views = dict(DOCUMENT_DEFAULTS) if names_documents(given.get("views")) else {}
    if given.get("validation_documents") == 0:
        of_views.pop("merge_shares", None)
    return {**of_level, **of_mode, **of_views, **given}


def fill_recipe_tuning(level: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """As `fill_tuning`, but for the settings that the recipe leaves to its base."""
    of_base = () if given.get("mode") == "paper" else OF_BASE
    filled = fill_tuning(level, given)
    return {name: value for name, value in filled.items() if name in given or name not in of_base}


def names_documents(views: Any) -> bool:
    """Return whether a recipe's `views`, not validated yet, are drawn from documents."""
    return bool({"crops", "titles"} & ({views} if isinstance(views, str) else set(views or ())))
