"""Scores of bases without tuning: the table "what is at hand" of docs/bases.md.

    python -m bench.base_scores models/mirror-mini-en FOLDER ... --workspace .mirror

Each folder is scored on held-out documents of the shipped recipe's corpus, on STS-B, and on the
words of Multi-SimLex: an encoder with its own settings, a plain model with CLS and with mean
pooling.  For comparison there are the mean of a base's word-piece embeddings, without any layer,
and BM25.  Speed is that of one thread on the documents.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from bench.measuring import progress_bar
from bench.quality import SHIPPED, WordPieceMeans
from mirror.encoders.base_model import check_base
from mirror.encoders.encoder import Encoder
from mirror.encoders.model_config import read_config
from mirror.encoders.sentence_transformers_reader import read_encoder_settings
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.document_counts import Form
from mirror.evaluation.evaluate import score_encoder
from mirror.evaluation.kinds.retrieval import bm25_scores, held_out_passages
from mirror.evaluation.metrics import reciprocal_ranks
from mirror.evaluation.result import TextEncoder
from mirror.pipeline import prepare_data
from mirror.recipe import find_recipe
from mirror.rendering import markdown_table
from mirror.run_data import RunData
from mirror.store import Store
from mirror.tuning_config import Pooling

BENCHMARKS = (
    "title-retrieval",
    "passage-retrieval",
    "sentence-retrieval",
    "stsb",
    "multisimlex-en",
)
COLUMNS = ("", "kind", "MB", "texts/s", "titles", "halves", "sentences", "STS-B", "words")
TIMED_TEXTS = 256


def encoders_of(folder: Path) -> Iterator[tuple[str, TextEncoder]]:
    """Yield the ways to read a folder, each with its name."""
    own = read_encoder_settings(folder)
    poolings: tuple[Pooling | None, ...] = (None,) if own else ("cls", "mean")
    for pooling in poolings:
        words = f"own settings, {own.pooling}" if own else pooling
        yield f"{folder.name}, {words}", Encoder.load(folder, pooling)
    yield f"{folder.name}, mean of word-piece embeddings", WordPieceMeans(folder)


def row_of(name: str, folder: Path, encoder: TextEncoder, run: RunData) -> list[str]:
    """Return the cells of one way to read a folder."""
    results = [score_encoder(encoder, read_definition(each), run) for each in BENCHMARKS]
    texts = held_out_passages(run, "titles").answers[:TIMED_TEXTS]
    began = time.perf_counter()
    encoder.encode(texts)
    speed = len(texts) / (time.perf_counter() - began)
    kind, size = "–", "–"
    if not isinstance(encoder, WordPieceMeans):
        kind = str(read_config(folder)["model_type"])
        size = f"{sum(file.stat().st_size for file in folder.glob('*.safetensors')) / 1e6:.0f}"
    return [name, kind, size, f"{speed:.0f}", *(_score(each.score) for each in results)]


def bm25_row(run: RunData) -> list[str]:
    """Return the cells of BM25."""
    forms: tuple[Form, ...] = ("titles", "halves", "sentences")
    ranks = [reciprocal_ranks(bm25_scores(held_out_passages(run, form))) for form in forms]
    return ["BM25", "", "", "", *(_score(float(each.mean())) for each in ranks), "–", "–"]


def _score(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", help="bases")
    parser.add_argument("--workspace", type=Path, default=Path(".mirror"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    run = prepare_data(find_recipe(SHIPPED), Store(arguments.workspace))
    rows = []
    with progress_bar(len(arguments.folders)) as bar:
        for folder in map(Path.resolve, arguments.folders):
            check_base(folder)
            for name, encoder in encoders_of(folder):
                rows.append(row_of(name, folder, encoder, run))
            bar.advance(bar.task_ids[0])
    print(markdown_table(COLUMNS, [*rows, bm25_row(run)]))


if __name__ == "__main__":
    main()
