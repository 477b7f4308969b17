"""Random baseline: a model of a base's architecture and tokenizer, with random weights."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mirror.encoders.base_model import MODEL_FILES, base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.store import Stage, Store

LIBRARIES = ("safetensors", "torch", "transformers")
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def random_stage(base: EncoderRef, seed: int) -> Stage:
    """Return the stage of the random model of a base."""
    return Stage(
        "random", "encoders.random_baseline", {"base": base.digest}, {"seed": seed}, LIBRARIES
    )


def random_base(base: EncoderRef, seed: int, store: Store) -> EncoderRef:
    """Return a masked language model of the base's architecture, initialised as for pretraining.

    Tokenizer and configuration are the base's; equal seeds give equal weights.

    Raises:
        StoreError: the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        import torch
        from transformers import AutoConfig, AutoModelForMaskedLM

        from mirror.encoders.model_loading import quiet_transformers

        folder = out / "model"
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            config = AutoConfig.from_pretrained(base.folder, trust_remote_code=False)
            random_model = AutoModelForMaskedLM.from_config(config, trust_remote_code=False)
        with quiet_transformers():
            random_model.save_pretrained(folder)
        for path in (path for pattern in MODEL_FILES for path in Path(base.folder).glob(pattern)):
            has_weights = any(path.match(pattern) for pattern in WEIGHTS)
            if not has_weights and not (folder / path.name).exists():
                shutil.copyfile(path, folder / path.name)
        return {"parameters": random_model.num_parameters()}

    folder = store.make(random_stage(base, seed), write).path / "model"
    return EncoderRef(str(folder), base_digest(folder), f"random weights, shaped as {base.origin}")
