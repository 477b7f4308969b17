"""Trial of base models: what becomes of each folder of tokenizer and configuration files.

A folder without weights gets a tiny model of its kind with random weights.  Each model is checked,
tuned for two steps, saved, and read by sentence-transformers and onnxruntime.

    python -m bench.bases FOLDER [--onnx] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.encoders.model_loading import quiet_transformers
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.encoders.tokenizer_checks import MANY_PROBES, probe_words, unknown_word_share
from mirror.errors import MirrorError
from mirror.export.onnx import export_onnx
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning_config import TuningSection

WIDTH = 16
SHAPE = {
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
DISTILBERT_SHAPE = {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
DERIVED = ("layer_types", "head_dim", "attention_head_size", "num_key_value_heads")
"""Settings that depend on the shape."""
BORROWED = re.compile(r"- `([^`]+)`: the same as in \.\./([\w.-]+)")
"""A line of PROVENANCE.md about files that another folder has."""
TEXTS = (
    "the baker sells a mirror",
    "Fähre und ÀÉ",
    "한국어 漢字 水",
    "a <pad> and a [PAD]",
    "don't 3.5 #hash",
    "",
    "long text " * 60,
)
TOLERANCE = 1e-5
TUNING = TuningSection(
    temperature=0.04,
    mask_length=2,
    epochs=1,
    batch_size=len(TEXTS),
    learning_rate=1e-4,
    pooling="mean",
    max_tokens=32,
    inference_max_tokens=64,
)


@dataclass(frozen=True)
class BaseTrial:
    """What became of a folder."""

    name: str
    kind: str = ""
    tokenizer: str = ""
    unknown: float | None = None
    """Share of the words of its vocabulary that it reads as unknown."""
    refusal: str = ""
    """The error; empty if all went well."""

    def row(self) -> str:
        """Return the row of a Markdown table."""
        share = "" if self.unknown is None else f"{self.unknown:.1%}"
        verdict = self.refusal.replace("|", "\\|") or "works"
        return f"| {self.name} | {self.kind} | {self.tokenizer} | {share} | {verdict} |"


def try_base(folder: Path, work: Path, *, onnx: bool = False) -> BaseTrial:
    """Return what becomes of a folder's model; files are written to `work` only."""
    kind = str(_config(folder).get("model_type", ""))
    base = work / folder.name
    try:
        copy_base(folder, base)
        check_base(base)
        own = read_encoder_settings(base)
        encoder = Encoder.load(base, None if own else "mean", device="cpu")
        words = probe_words(encoder.tokenizer.get_vocab(), MANY_PROBES)
        backend = encoder.tokenizer.backend_tokenizer
        unknown = unknown_word_share(backend, encoder.tokenizer.unk_token, words)
        name = type(encoder.tokenizer).__name__
        return BaseTrial(folder.name, kind, name, unknown, _try_tuning(base, work, onnx=onnx))
    except MirrorError as error:
        return BaseTrial(folder.name, kind, refusal=str(error).replace(f"{work}/", ""))


def copy_base(folder: Path, target: Path) -> None:
    """Copy a model's folder, with files that it borrows from its neighbours, and with weights."""
    shutil.copytree(folder, target)
    provenance = folder / "PROVENANCE.md"
    notes = provenance.read_text(encoding="utf-8") if provenance.is_file() else ""
    for names, neighbour in BORROWED.findall(notes):
        for name in names.split(", "):
            shutil.copyfile(folder.parent / neighbour / name, target / name)
    if not any(target.glob("*.safetensors*")):
        _write_random_weights(target)


def _write_random_weights(folder: Path) -> None:
    """Write a tiny model of the folder's kind; unknown kinds get none."""
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    config = _config(folder)
    shape = DISTILBERT_SHAPE if config.get("model_type") == "distilbert" else SHAPE
    small = {key: value for key, value in config.items() if key not in DERIVED} | shape
    small |= {"embedding_size": WIDTH} if "embedding_size" in config else {}
    (folder / "config.json").write_text(json.dumps(small), encoding="utf-8")
    if "auto_map" in config or "model_type" not in config:
        return
    torch.manual_seed(0)
    with quiet_transformers():
        model = AutoModelForMaskedLM.from_config(
            AutoConfig.from_pretrained(folder, trust_remote_code=False)
        )
        model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(small), encoding="utf-8")


def _try_tuning(base: Path, work: Path, *, onnx: bool) -> str:
    """Tune for a step, read the encoder otherwise, and return what differs; empty for nothing."""
    from sentence_transformers import SentenceTransformer

    out = work / f"{base.name}-tuned"
    out.mkdir()
    tune(TUNING, TEXTS, TrainingPaths(base, out, work / f"{base.name}-work"))
    encoder = Encoder.load(out / "encoder", device="cpu")
    ours = encoder.encode(TEXTS)
    theirs = SentenceTransformer(str(out / "encoder"), device="cpu").encode(list(TEXTS))
    scale = max(1.0, float(np.abs(ours).max()))
    if (difference := float(np.abs(theirs - ours).max()) / scale) > TOLERANCE:
        return f"sentence-transformers gives other vectors, by {difference:.0e}"
    if onnx:
        export_onnx(encoder, out / "encoder", out / "onnx")
    return ""


def markdown(trials: Sequence[BaseTrial]) -> str:
    """Return a table of trials."""
    head = ["| Folder | Kind | Tokenizer | Unknown words | Verdict |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(trial.row() for trial in trials)]) + "\n"


def _config(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return content


def main(arguments: Sequence[str]) -> None:
    """Print the table of all folders with a `config.json`."""
    parser = argparse.ArgumentParser(prog="python -m bench.bases", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--onnx", action="store_true", help="Export each encoder as ONNX too.")
    parser.add_argument("--out", type=Path, help="Write the table to this file too.")
    options = parser.parse_args(arguments)
    trials = []
    for path in sorted(options.folder.glob("*/config.json")):
        with tempfile.TemporaryDirectory() as work:
            trials.append(try_base(path.parent, Path(work), onnx=options.onnx))
        print(trials[-1].row(), file=sys.stderr, flush=True)
    print(markdown(trials), end="")
    if options.out:
        options.out.write_text(markdown(trials), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
