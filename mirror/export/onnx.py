"""Export of an encoder as an ONNX graph that includes pooling and head, with its tokenizer.

Needs the extra `onnx`.  Users of the export need onnxruntime and tokenizers only.
"""

from __future__ import annotations

import importlib
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from mirror.atomic_write import atomic_folder
from mirror.encoders.architectures import ARCHITECTURES, model_positions
from mirror.encoders.encoder import Encoder
from mirror.encoders.model_loading import load_model, quiet_transformers
from mirror.encoders.pooling import leave_out, pool
from mirror.encoders.sentence_transformers_format import EncoderSettings
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.errors import BaseModelError, InputError
from mirror.tuning_config import FIRST_LAYER

GRAPH = "model.onnx"
TOKENIZER = "tokenizer.json"
SETTINGS = "encoder.json"
OPSET = 18
NEEDED = ("onnx", "onnxscript", "onnxruntime")
TOLERANCE = 1e-5
"""Relative to the largest absolute component of the vectors, or to 1 if that is smaller."""
PROTOBUF_BYTES = 1 << 30
"""Above this size weights go into a separate file, because protobuf is limited to 2 GB."""
CHECK_TEXTS = (
    "a",
    "The harbour is quiet in the morning.",
    "¿Dónde está la llave?",
    "水 и чай",
    "3.5 mg/kg, twice a day; see Table 2 (b)",
    "",
    "the miller carries flour over the bridge and back again " * 40,
)
"""Short texts and one longer than any encoder's limit, in several scripts."""


class _Graph(torch.nn.Module):
    """The exported module: token ids and attention mask in, embeddings out."""

    def __init__(self, encoder: Encoder, model: Any) -> None:
        super().__init__()
        self.model, self.pooling = model, encoder.settings.pooling
        self.head, self.token_weights = encoder.head, encoder.token_weights
        self.left_out = encoder.left_out_tokens

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return embeddings (texts, dimension) of ids and mask (texts, tokens)."""
        layers = self.pooling == "first-last"
        output = self.model(
            inputs_embeds=self.model.get_input_embeddings()(input_ids),
            attention_mask=attention_mask,
            output_hidden_states=layers,
            **model_positions(self.model.config, input_ids),
        )
        hidden = (
            (output.hidden_states[FIRST_LAYER], output.hidden_states[-1])
            if layers
            else (output.last_hidden_state,)
        )
        if self.pooling == "last":  # `pool` indexes rows, whose number the exporter would fix
            ends = attention_mask - torch.nn.functional.pad(attention_mask[:, 1:], (0, 1))
            vectors = (hidden[-1] * ends[:, :, None]).sum(1)
        else:
            weights = 1 if self.token_weights is None else self.token_weights[input_ids]
            mask = leave_out(attention_mask, self.left_out) if self.left_out else attention_mask
            vectors = pool(hidden, mask * weights, self.pooling)
        embeddings: Tensor = self.head(vectors)
        return embeddings


class OnnxEncoder:
    """An exported encoder, run with onnxruntime and tokenizers only."""

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        self._tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
        settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        self._prompt = settings["prompt"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(
            str(folder / GRAPH), options, providers=["CPUExecutionProvider"]
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return embeddings (texts, dimension) of texts, padded to one length."""
        encodings = self._tokenizer.encode_batch([self._prompt + text for text in texts])
        ids = np.array([text.ids for text in encodings], dtype=np.int64)
        mask = np.array([text.attention_mask for text in encodings], dtype=np.int64)
        [vectors] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        return np.asarray(vectors, dtype=np.float32)


def check_onnx() -> None:
    """Raise an error unless the packages for ONNX are installed.

    Raises:
        InputError: a package of the extra `onnx` is missing.
    """
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise InputError(
                f"ONNX needs {name}: pip install -c constraints.txt -e '.[onnx]' (not "
                "sentence-transformers[onnx], which downgrades transformers to version 4)"
            ) from error


def export_onnx(encoder: Encoder, folder: Path, target: Path) -> float:
    """Write `model.onnx`, `tokenizer.json` (with truncation and padding) and `encoder.json`.

    The graph takes `input_ids` and `attention_mask`, int64 (texts, tokens) with dynamic axes, and
    returns `vectors`, float32 (texts, dimension).  `encoder.json` says whether they are normalised,
    and has the `prompt` to put before each text, mostly empty.

    Args:
        encoder: exported with its pooling and head.
        folder: of the encoder.
        target: the folder to write.

    Returns:
        The largest relative difference from the vectors of sentence-transformers; see `TOLERANCE`.

    Raises:
        InputError: the extra `onnx` is not installed, or `target` exists already.
        BaseModelError: the encoder pools over padding, or the graph's vectors differ.
        StoreError: the folder cannot be written.
    """
    check_onnx()
    if encoder.settings.pooling == "mean-with-padding":
        raise BaseModelError(
            f"the encoder in {folder} has the pooling mean-with-padding, so its vectors depend on "
            "the padding: export an encoder with another pooling"
        )
    with atomic_folder(target) as out:
        _write_graph(encoder, folder, out / GRAPH)
        _write_tokenizer(encoder, out / TOKENIZER)
        _write_settings(encoder, out / SETTINGS)
        difference = largest_difference(_reference_vectors(encoder, folder), OnnxEncoder(out))
        if not difference <= TOLERANCE:
            raise BaseModelError(
                f"the ONNX graph of {folder} gives vectors that differ by {difference:.1e} from "
                f"those of sentence-transformers, more than {TOLERANCE:.0e}: no folder was "
                "written; please report this with the model"
            )
    return difference


def _reference_vectors(encoder: Encoder, folder: Path) -> NDArray[np.float32]:
    """Return the vectors of `CHECK_TEXTS` by sentence-transformers, which shares no code with us.

    It reads the folder itself, or a copy of the encoder if that was loaded with other settings.
    """
    from sentence_transformers import SentenceTransformer

    def encode(source: Path) -> NDArray[np.float32]:
        reader = SentenceTransformer(str(source), device="cpu", local_files_only=True)
        vectors = reader.encode(list(CHECK_TEXTS), show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)

    with quiet_transformers():
        if is_read_as_saved(encoder.settings, folder):
            return encode(folder)
        with tempfile.TemporaryDirectory() as place:
            encoder.save(Path(place))
            return encode(Path(place))


def is_read_as_saved(settings: EncoderSettings, folder: Path) -> bool:
    """Return whether a loaded encoder's settings are those of its folder."""
    saved = read_encoder_settings(folder)
    return (
        saved is not None
        and saved == replace(settings, max_tokens=saved.max_tokens)
        and (saved.max_tokens in (0, settings.max_tokens))
    )


def largest_difference(expected: NDArray[np.float32], exported: OnnxEncoder) -> float:
    """Return the largest relative difference on `CHECK_TEXTS`, encoded together and one by one."""
    together = exported.encode(CHECK_TEXTS)
    alone = np.concatenate([exported.encode([text]) for text in CHECK_TEXTS])
    scale = max(1.0, float(np.abs(expected).max()))
    return max(float(np.abs(vectors - expected).max()) for vectors in (together, alone)) / scale


def _write_graph(encoder: Encoder, folder: Path, path: Path) -> None:
    kind = ARCHITECTURES[encoder.model.config.model_type]
    # Loaded again: the encoder's model may compute its last layer for the first token only.
    model = load_model(folder, kind, None).eval()
    graph = _Graph(encoder, model).eval()
    size = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    ids = torch.tensor(encoder.token_ids(CHECK_TEXTS[1:2])).repeat(2, 1)
    texts, tokens = torch.export.Dim("texts"), torch.export.Dim("tokens")
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph,
            (ids, torch.ones_like(ids)),
            path,
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            dynamic_shapes={
                "input_ids": {0: texts, 1: tokens},
                "attention_mask": {0: texts, 1: tokens},
            },
            opset_version=OPSET,
            dynamo=True,
            external_data=size > PROTOBUF_BYTES,
            verbose=False,
        )


def _write_tokenizer(encoder: Encoder, path: Path) -> None:
    tokenizer = Tokenizer.from_str(encoder.tokenizer.backend_tokenizer.to_str())
    tokenizer.enable_truncation(encoder.settings.max_tokens)
    pad = encoder.tokenizer.pad_token
    tokenizer.enable_padding(pad_id=int(encoder.tokenizer.pad_token_id or 0), pad_token=pad or "")
    tokenizer.save(str(path))


def _write_settings(encoder: Encoder, path: Path) -> None:
    settings = {
        "pooling": encoder.settings.pooling,
        "max_tokens": encoder.settings.max_tokens,
        "width": encoder.dimension,
        "normalised": encoder.settings.is_normalised,
        "prompt": encoder.settings.prefix,
        "inputs": ["input_ids", "attention_mask"],
        "output": "vectors",
    }
    path.write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's warnings and logs."""
    names = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")
    levels = {name: logging.getLogger(name).level for name in names}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
