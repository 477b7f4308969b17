"""Runs an encoder over benchmarks.

sentence-transformers' evaluators give one number for a benchmark; a paired bootstrap needs what
the encoder said of each item.  So the cosines are taken here, and the statistics are a library's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import Definition, read_definition
from mirror.evaluation.datasets import load_pairs
from mirror.evaluation.kinds.entity_linking import score_linking
from mirror.evaluation.kinds.lexicon_induction import score_lexicon
from mirror.evaluation.kinds.retrieval import (
    Passages,
    bm25_reciprocal_ranks,
    held_out_passages,
    reciprocal_ranks,
)
from mirror.evaluation.kinds.space import sampled_texts, score_space
from mirror.evaluation.metrics import Predictions, cosines, statistic_of
from mirror.evaluation.result import (
    BenchmarkResult,
    CachingEncoder,
    TextEncoder,
    macro_average,
    make_result,
)
from mirror.evaluation.space_diagnostics import STRINGS, space_diagnostics
from mirror.hardware import thread_count
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.run_data import RunData

log = logging.getLogger(__name__)


def score_encoder(
    encoder: TextEncoder,
    definition: Definition,
    passages: Passages | None = None,
    texts: Sequence[str] | None = None,
    other: TextEncoder | None = None,
) -> BenchmarkResult:
    """Measures an encoder on a benchmark.

    Args:
        encoder: gives the vectors.
        definition: the benchmark.
        passages: what a retrieval benchmark searches.
        texts: what a benchmark of the space is measured on.
        other: gives the vectors of a lexicon's second language; `encoder` does if there is none.

    Raises:
        BenchmarkError: data is damaged, the vectors are not numbers, or a run's texts are missing.
    """
    match definition.task:
        case "similarity" | "classification":
            return _score_pairs(encoder, definition)
        case "lexicon-induction":
            return score_lexicon(encoder, definition, other)
        case "entity-linking":
            return score_linking(encoder, definition)
        case "retrieval" if passages is not None:
            return _score_retrieval(encoder, definition, passages)
        case "space-diagnostics" if texts is not None:
            return score_space(encoder, definition, texts)
        case "retrieval" | "space-diagnostics":
            raise BenchmarkError(
                f"{definition.name} is of a run's own texts: name a recipe that has run"
            )
        case "average":
            parts = {name: read_definition(name) for name in definition.members}
            shared = CachingEncoder(encoder)
            scored = {name: score_encoder(shared, parts[name], other=other) for name in parts}
            return macro_average(definition, scored)


def write_evaluation(
    benchmarks: Sequence[str],
    place: EncoderRef,
    data: RunData,
    out: Path,
    on_progress: OnProgress = no_progress,
) -> Mapping[str, Any]:
    """Measures an encoder and writes scores, predictions and looks.

    Args:
        benchmarks: names.
        place: the encoder.
        data: what was tuned on, and what retrieval searches.
        out: the folder that is written to.
        on_progress: hears of each benchmark.

    Returns:
        The score of each benchmark.
    """
    torch.set_num_threads(thread_count())
    encoder = Encoder.load(Path(place.folder), place.pooling, place.max_tokens, prompt=place.prompt)
    definitions = [read_definition(name) for name in benchmarks]
    searched = any(definition.task == "retrieval" for definition in definitions)
    passages = held_out_passages(data) if searched else None
    texts = sampled_texts(data.sample)
    results: dict[str, BenchmarkResult] = {}
    (out / "predictions").mkdir()
    for done, definition in enumerate(definitions):
        on_progress(
            ProgressEvent("evaluation", done, len(definitions) + 1, "benchmarks", definition.name)
        )
        results[definition.name] = score_encoder(encoder, definition, passages, texts)
        _write_predictions(definition.name, results[definition.name], out / "predictions")
    chosen = texts[:STRINGS]
    _write_json(out / "diagnostics.json", space_diagnostics(chosen, encoder.encode(chosen)))
    gated = {definition.name: definition.used_by_gate for definition in definitions}
    scores = {
        name: made.content() | {"used_by_gate": gated[name]} for name, made in results.items()
    }
    _write_json(out / "scores.json", scores)
    return {name: made.score for name, made in results.items()}


def _score_pairs(encoder: TextEncoder, definition: Definition) -> BenchmarkResult:
    pairs = load_pairs(definition)
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.first, pair.second)))
    rows = dict(zip(texts, encoder.encode(texts), strict=True))
    first = np.stack([rows[pair.first] for pair in pairs])
    second = np.stack([rows[pair.second] for pair in pairs])
    gold = np.asarray([pair.gold for pair in pairs])
    predictions = Predictions(
        tuple(pair.subset for pair in pairs),
        cosines(first, second),
        gold,
        statistic_of(definition.metric),
    )
    return make_result(definition, predictions)


def _score_retrieval(
    encoder: TextEncoder, definition: Definition, passages: Passages
) -> BenchmarkResult:
    ranks = reciprocal_ranks(encoder.encode(passages.queries), encoder.encode(passages.answers))
    words = bm25_reciprocal_ranks(passages)
    predictions = Predictions(("",) * len(ranks), ranks)
    return make_result(definition, predictions, baselines={"bm25": float(words.mean())})


def _write_predictions(name: str, result: BenchmarkResult, folder: Path) -> None:
    for member, part in result.members.items():
        _write_predictions(member, part, folder)
    if result.predictions is None:
        return
    found = result.predictions
    gold = [None] * len(found.predicted) if found.gold is None else found.gold.tolist()
    table = pa.table(
        {
            "item": pa.array(range(len(found.predicted)), pa.int32()),
            "subset": pa.array(found.subsets, pa.string()),
            "gold": pa.array(gold, pa.float64()),
            "predicted": pa.array(found.predicted, pa.float64()),
        }
    )
    pq.write_table(table, folder / f"{name}.parquet")


def _write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    path.write_text(text, encoding="utf-8")
