"""Finished base model: a folder that `AutoModelForMaskedLM` loads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer, PreTrainedModel

from mirror.encoders.architectures import set_dropout
from mirror.pretraining.config import PretrainingSettings
from mirror.pretraining.trainer import PretrainingStep
from mirror.store import StageRecord, safetensors_errors_as_os_errors, section_content

CONFIG_DROPOUT = 0.1
"""Dropout written to the configuration: the default that fine-tuning expects of a BERT."""


def write_model(
    settings: PretrainingSettings,
    pieces: StageRecord,
    result: tuple[PreTrainedModel, PretrainingStep],
    out: Path,
) -> Mapping[str, Any]:
    """Write `model/`: fp16 weights, tokenizer, and `pretraining.json` with settings and losses."""
    model, last = result
    folder = out / "model"
    set_dropout(model.config, CONFIG_DROPOUT)
    with safetensors_errors_as_os_errors():
        model.cpu().half().save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(pieces.path / "start", trust_remote_code=False)
    tokenizer.save_pretrained(folder)
    losses = {
        "steps": last.step,
        "tokens": last.tokens,
        "masked_loss": round(last.masked_loss, 4),
        "sentence_loss": round(last.sentence_loss, 4),
        "word_loss": round(last.word_loss, 4),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    record = {
        "settings": section_content(settings),
        "corpus": dict(pieces.counts),
        "last_step": asdict(last),
        **losses,
    }
    (folder / "pretraining.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return losses
