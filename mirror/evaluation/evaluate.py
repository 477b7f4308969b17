"""Evaluation of an encoder on benchmarks.

sentence-transformers' evaluators give one number for a benchmark, and a paired bootstrap needs the
prediction for each item.  Cosines are therefore computed here, and the statistics by scipy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from mirror.encoders.embeddings_file import RoundedEncoder
from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.head import without_last_layer
from mirror.encoders.truncation import count_truncated
from mirror.evaluation.benchmark import Benchmark, read_definition
from mirror.evaluation.kinds.space_diagnostics import REPORT_STRINGS, space_diagnostics
from mirror.evaluation.result import BenchmarkResult, TextEncoder
from mirror.evaluation.score_change import TRUNCATED
from mirror.hardware import thread_count
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.recipe import EvaluationSection
from mirror.run_data import RunData
from mirror.stage_files import sampled_texts


class CountingEncoder:
    """An encoder that counts the texts that it encodes."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self.counts = {"texts": 0, "cut": 0}
        """Texts that were encoded, and how many of them were longer than the encoder reads."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the embeddings (texts, dimension)."""
        self.counts["texts"] += len(texts)
        self.counts["cut"] += count_truncated(self._encoder, texts)
        return self._encoder.encode(texts)


def score_encoder(
    encoder: TextEncoder,
    benchmark: Benchmark,
    run: RunData | None = None,
    second: TextEncoder | None = None,
) -> BenchmarkResult:
    """Return an encoder's result on a benchmark.

    Args:
        encoder: gives the embeddings.
        benchmark: of any kind.
        run: a run's stages, for benchmarks on its own texts.
        second: embeds a lexicon's second language; None: `encoder` does.

    Raises:
        BenchmarkError: data is damaged, vectors are not numbers, or `run` is missing.
    """
    return benchmark.score(encoder, benchmark.load(run), second)


def write_evaluation(
    evaluation: EvaluationSection,
    ref: EncoderRef,
    run: RunData,
    out: Path,
    on_progress: OnProgress = no_progress,
) -> Mapping[str, Any]:
    """Evaluate an encoder and write scores, predictions and diagnostics.

    Args:
        evaluation: names the benchmarks.
        ref: the encoder.
        run: the run's stages.
        out: the folder to write to.
        on_progress: receives an event for each benchmark.

    Returns:
        The score of each benchmark.
    """
    torch.set_num_threads(thread_count())
    counting = CountingEncoder(encoder := _load(ref))
    rounded = RoundedEncoder(counting, ref.stored_as or "float32")
    definitions = [read_definition(name) for name in evaluation.scored]
    results = dict[str, BenchmarkResult]()
    (out / "predictions").mkdir()
    for done, benchmark in enumerate(definitions):
        total = len(definitions) + 1
        on_progress(ProgressEvent("evaluation", done, total, "benchmarks", benchmark.name))
        results[benchmark.name] = score_encoder(rounded, benchmark, run)
        _write_predictions(benchmark.name, results[benchmark.name], out / "predictions")
    texts = sampled_texts(run.sample, REPORT_STRINGS)
    diagnostics = space_diagnostics(texts, encoder.encode(texts)) | {TRUNCATED: counting.counts}
    _write_json(out / "diagnostics.json", diagnostics)
    for_gate = {each.name for each in definitions if each.used_by_gate} & {*evaluation.benchmarks}
    scores = {name: result.content(name in for_gate) for name, result in results.items()}
    _write_json(out / "scores.json", scores)
    return {name: result.score for name, result in results.items()}


def _load(ref: EncoderRef) -> Encoder:
    encoder = Encoder.load(Path(ref.folder), ref.pooling, ref.max_tokens, prompt=ref.prompt)
    if ref.all_dimensions:
        encoder.head = without_last_layer(encoder.head)
    return encoder


def _write_predictions(name: str, result: BenchmarkResult, folder: Path) -> None:
    for member, part in result.members.items():
        _write_predictions(member, part, folder)
    predictions = result.predictions
    if predictions is None:
        return
    items = len(predictions.predicted)
    gold = [None] * items if predictions.gold is None else predictions.gold.tolist()
    table = pa.table(
        {
            "item": pa.array(range(items), pa.int32()),
            "subset": pa.array(predictions.subsets, pa.string()),
            "gold": pa.array(gold, pa.float64()),
            "predicted": pa.array(predictions.predicted, pa.float64()),
        }
    )
    pq.write_table(table, folder / f"{name}.parquet")


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")
