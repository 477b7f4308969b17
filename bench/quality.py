"""Quality of a base and of encoders tuned from it: the table of docs/quality.md.

    python -m bench.quality english.parquet --seeds 42 33 44

Every row is scored on STS-B, the mean of seven STS sets, Multi-SimLex English and docstring
retrieval. For STS an encoder is tuned on 10,000 sentences of the given corpus, for Multi-SimLex on
the 10,000 most frequent English words (wordfreq), for retrieval on 10,000 sentences of docstrings.
A seed sets order, masks and dropout; the strings stay the same, as in the paper. The control is a
model of the base's shape with random weights, drawn anew for each seed. Labels are used for scores
only. Finished stages are kept in the workspace, and a second call reuses them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from bench.measuring import print_line, progress_bar
from mirror.corpus.ingest import ingest_corpus
from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.evaluate import score_encoder
from mirror.evaluation.kinds.retrieval import bm25_scores, held_out_passages
from mirror.evaluation.metrics import reciprocal_ranks
from mirror.evaluation.stage import evaluate_encoder
from mirror.recipe import Recipe, find_recipe, parse_recipe
from mirror.rendering import markdown_table
from mirror.run_data import RunData
from mirror.sampling.sample import sample_strings
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from mirror.tuning_config import Pooling
from mirror.tuning_defaults import LEVEL_DEFAULTS

SHIPPED = "en-python-docs"
COLUMNS = ("STS-B", "STS, 7 sets", "Multi-SimLex en", "docstring retrieval")
WHITENED = "our default, whitened"


def papers_settings(level: str) -> dict[str, Any]:
    """Return the paper's settings for BERT, which are the defaults of each level."""
    return LEVEL_DEFAULTS[level]


def our_settings(level: str) -> dict[str, Any]:
    """Return the shipped recipe's settings; words keep their length, temperature and epochs."""
    names = {"pooling", "learning_rate"} if level == "word" else None
    return find_recipe(SHIPPED).tuning.model_dump(mode="json", include=names)


SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "the paper's settings": papers_settings,
    "our default": our_settings,
    WHITENED: lambda level: our_settings(level) | {"whitening": 0.25},
}


@dataclass
class Task:
    """Strings to tune on, and the benchmark to score on."""

    recipe: Recipe
    corpus: StageRecord
    sample: StageRecord

    def tuned(
        self, base: EncoderRef, settings: dict[str, Any], seed: int, store: Store
    ) -> list[float]:
        """Return the scores of an encoder tuned from the base."""
        tuning = {
            "views": "identity",
            **LEVEL_DEFAULTS[self.recipe.level],
            **settings,
            "seed": seed,
        }
        content = {**self.recipe.model_dump(mode="json"), "tuning": tuning}
        recipe = parse_recipe(content, name=self.recipe.name, source="bench")
        sample = sample_strings(recipe, self.corpus, store)  # of strings or of documents
        record = tune_encoder(recipe, sample, base, store)
        return self._scores(tuned_encoder(record), store)

    def raw(self, base: EncoderRef, pooling: Pooling, store: Store) -> list[float]:
        """Return the scores of the base without tuning."""
        level = self.recipe.level
        limit = our_settings(level).get("max_tokens") or LEVEL_DEFAULTS[level]["max_tokens"]
        return self._scores(replace(base, pooling=pooling, max_tokens=limit), store)

    def _scores(self, encoder: EncoderRef, store: Store) -> list[float]:
        record = evaluate_encoder(self.recipe, encoder, RunData(self.corpus, self.sample), store)
        content = json.loads((record.path / "scores.json").read_text(encoding="utf-8"))
        result = content[self.recipe.evaluation.benchmarks[0]]
        parts = [result["subsets"]["stsb"]["score"]] if "stsb" in result["subsets"] else []
        return [*parts, result["score"]]


@dataclass
class Table:
    """Rows of scores, one list for each seed."""

    bar: Progress
    rows: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, name: str, scores: list[float]) -> None:
        """Add the scores of one seed, and show them on standard error."""
        self.rows.setdefault(name, []).append(scores)
        print_line(self.bar.console, f"{name}: {' '.join(f'{value:.3f}' for value in scores)}")
        self.bar.advance(self.bar.task_ids[0])

    def markdown(self) -> str:
        """Return the table, with means and standard deviations over seeds."""
        rows = [
            [name, *(_cell(values) for values in zip(*runs, strict=True))]
            for name, runs in self.rows.items()
        ]
        return markdown_table(["", *COLUMNS], rows)


def _cell(values: Sequence[float]) -> str:
    if np.isnan(values).any():
        return "–"
    shown = f"{mean(values):.3f}".replace("0.", ".", 1)
    return shown + (f" ± {stdev(values):.3f}".replace("0.", ".", 1) if len(values) > 1 else "")


def make_tasks(corpus: Path, store: Store, console: Console) -> list[Task]:
    """Make corpus and sample of sentences, words and docstrings."""
    shipped = find_recipe(SHIPPED)
    files = {"source": "files", "paths": [str(corpus)], "exclude_sources": ["open_english_wordnet"]}
    contents = (
        ("sentence", {**files, "source_column": "source", "min_characters": 20}, "sts-english"),
        ("word", {"source": "wordfreq", "check_language": False}, "multisimlex-en"),
        ("sentence", shipped.corpus.model_dump(mode="json"), "title-retrieval"),
    )
    tasks = []
    for level, section, benchmark in contents:
        recipe = parse_recipe(
            {
                "language": "en",
                "domain": "bench",
                "level": level,
                "corpus": section,
                "sample": {"size": 10_000},
                "base": {"path": "models/mirror-mini-en"},
                "tuning": {"views": "identity"},
                "evaluation": {"benchmarks": [benchmark]},
                "registry": {"model": "bench"},
            },
            name="bench",
            source="bench",
        )
        record = ingest_corpus(recipe, store)
        print_line(console, f"{benchmark}: {dict(record.counts)}, {record.seconds:.0f} s")
        tasks.append(Task(recipe, record, sample_strings(recipe, record, store)))
    return tasks


class WordPieceMeans:
    """Encoder of texts as the mean of their word pieces' embeddings, without any layer."""

    def __init__(self, folder: Path) -> None:
        self._encoder = Encoder.load(folder, "mean", 128)
        self._table = self._encoder.model.get_input_embeddings().weight.detach().numpy()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors (texts, width)."""
        rows = self._encoder.token_ids(list(texts))
        return np.stack([self._table[row[1:-1] or row].mean(axis=0) for row in rows])


def fill_table(
    table: Table, base: EncoderRef, tasks: list[Task], seeds: list[int], store: Store
) -> None:
    """Score every row."""
    poolings: dict[Pooling, str] = {"cls": "raw, CLS", "mean": "raw, mean"}
    for pooling, name in poolings.items():
        table.add(name, [score for task in tasks for score in task.raw(base, pooling, store)])
    static = WordPieceMeans(Path(base.folder))
    run = RunData(tasks[2].corpus, tasks[2].sample)
    passages = held_out_passages(run, "titles")
    names = ("stsb", "sts-english", "multisimlex-en", "title-retrieval")
    table.add(
        "mean of its word-piece embeddings",
        [score_encoder(static, read_definition(name), run).score for name in names],
    )
    table.add("BM25", [np.nan] * 3 + [float(reciprocal_ranks(bm25_scores(passages)).mean())])
    for seed in seeds:
        control = random_base(base, seed, store)
        for how, choose in SETTINGS.items():
            scores = [task.tuned(base, choose(task.recipe.level), seed, store) for task in tasks]
            table.add(f"tuned, {how}", list(chain(*scores)))
            if how != WHITENED:
                of_control = [
                    task.tuned(control, choose(task.recipe.level), seed, store) for task in tasks
                ]
                table.add(f"random weights, tuned, {how}", list(chain(*of_control)))


def row_count(seeds: int) -> int:
    """Return how often `fill_table` adds a row."""
    return 4 + seeds * (2 * len(SETTINGS) - 1)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="Parquet of English text with a source column")
    parser.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 33, 44])
    parser.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))
    arguments = parser.parse_args()
    store, folder, seeds = Store(arguments.workspace), arguments.base.resolve(), arguments.seeds
    base = EncoderRef(str(folder), base_digest(folder), str(arguments.base))
    with progress_bar(row_count(len(seeds))) as bar:
        table = Table(bar)
        tasks = make_tasks(arguments.corpus.absolute(), store, bar.console)
        fill_table(table, base, tasks, seeds, store)
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("torch", "transformers"))
    print(
        f"base {base.digest[:12]}, seeds {seeds}, {versions}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores of {platform.machine()}\n"
    )
    print(table.markdown())


if __name__ == "__main__":
    main()
