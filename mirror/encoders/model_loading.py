"""Loading of a model from a folder; missing weights are errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel
from transformers.utils import logging as transformers_logging

from mirror.encoders.architectures import Architecture, set_dropout
from mirror.errors import BaseModelError
from mirror.hardware import cpu_has_bf16, keep_few_kernels

PROBED = 8
"""Tokens that a model encodes after it is loaded."""


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Context manager: transformers prints no progress bars and no tables of missing keys."""
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


def load_model(folder: Path, kind: Architecture, dropout: float | None) -> Any:
    """Load a model in fp32, without a pooler; `dropout` replaces all its rates unless it is None.

    Raises:
        BaseModelError: it cannot be loaded, weights are missing, or its vectors are not numbers.
    """
    keep_few_kernels()
    options = {"add_pooling_layer": False} if kind.has_pooler else {}
    try:
        with quiet_transformers():
            config = AutoConfig.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            vars(config).pop("auto_map", None)  # theirs is not run, and not saved
            if dropout is not None:
                set_dropout(config, dropout)
            model, report = AutoModel.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                **options,
            )
    except Exception as error:  # transformers and safetensors raise many kinds on a damaged folder
        raise BaseModelError(
            f"the model in {folder} cannot be loaded ({error}): get it again from "
            "where it came from"
        ) from error
    _check_loaded(model, report, folder)
    _check_vectors(model, folder)
    return model


def _check_vectors(model: Any, folder: Path) -> None:
    """Check that finite weights give vectors that are numbers, and not one for every token."""
    ids = torch.arange(PROBED)[None] % model.config.vocab_size
    with torch.inference_mode():
        vectors = model.eval()(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    if not vectors.isfinite().all():
        fault = "vectors that are not numbers, since some of them are too large"
    elif (vectors == vectors[:, :1]).all():
        fault = "one vector for every token, as weights of zeros do"
    else:
        return
    raise BaseModelError(
        f"the weights in {folder} give {fault}: get them again from where they came from, or tune "
        "the model again with a lower learning rate if they are your own"
    )


def _check_loaded(model: Any, report: Mapping[str, Any], folder: Path) -> None:
    """Check that all weights of the folder and of the model were used, and are finite."""
    # transformers fills missing weights with random numbers and raises no error
    if absent := sorted(report["missing_keys"]):
        raise BaseModelError(
            f"the weights in {folder} lack {absent[0]} and {len(absent) - 1} more: get them again"
        )
    if unused := _unused_weights(model, report["unexpected_keys"]):
        raise BaseModelError(
            f"the weights in {folder} have {unused[0]} and {len(unused) - 1} more, which the "
            f"{model.config.model_type} of transformers does not use: choose another base"
        )
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise BaseModelError(
                f"{name} in the weights of {folder} is not finite everywhere (NaN or infinity): "
                "get them again from where they came from"
            )


def _unused_weights(model: Any, unexpected: Iterable[str]) -> list[str]:
    """Return the weights of the encoder that were not loaded; heads and poolers do not count."""
    parts = {name for name, _ in model.named_children()} - {"pooler"}
    buffers = {name for name, _ in model.named_buffers()}
    prefix = f"{model.base_model_prefix}."
    names = [name.removeprefix(prefix) for name in unexpected]
    return [name for name in names if name.split(".")[0] in parts and name not in buffers]


def resolve_device(device: str) -> str:
    """Return `device`, with `auto` replaced by `cuda` if there is a GPU, else `cpu`."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device


def device_has_bf16(device: torch.device) -> bool:
    """Return whether a device has instructions for bf16; without, it is emulated and slow."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return cpu_has_bf16()
