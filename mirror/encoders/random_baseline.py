"""A model of a base's shape and tokenizer with random weights: the control that knows nothing."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import PARTS, base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.store import Stage, Store

LIBRARIES = ("safetensors", "torch", "transformers")
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def random_stage(base: EncoderRef, seed: int) -> Stage:
    """The stage that draws weights for a base's shape."""
    return Stage(
        "random", "encoders.random_baseline", {"base": base.digest}, {"seed": seed}, LIBRARIES
    )


def random_base(base: EncoderRef, seed: int, store: Store) -> EncoderRef:
    """A masked language model of the base's shape, its weights drawn as before pretraining.

    Tokenizer and configuration are the base's own; equal seeds give equal weights.

    Raises:
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        import torch
        from transformers import AutoConfig, AutoModelForMaskedLM

        from mirror.encoders.model_loading import quiet_transformers

        model = out / "model"
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
            drawn = AutoModelForMaskedLM.from_config(config, trust_remote_code=False)
        with quiet_transformers():
            drawn.save_pretrained(model)
        for path in (path for part in PARTS for path in Path(base.folder).glob(part)):
            of_weights = any(path.match(pattern) for pattern in WEIGHTS)
            if not of_weights and not (model / path.name).exists():
                shutil.copyfile(path, model / path.name)
        return {"parameters": drawn.num_parameters()}

    folder = store.make(random_stage(base, seed), write).path / "model"
    return EncoderRef(str(folder), base_digest(folder), f"random weights, shaped as {base.origin}")
