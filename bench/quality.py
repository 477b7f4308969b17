"""How good a base and the encoders tuned from it are: the table of docs/quality.md.

    python bench/quality.py ../shared/corpora/english.parquet --seeds 42 33 44

Every row is scored on STS-B, the seven-set STS average, Multi-SimLex English and docstring
retrieval.  For STS an encoder is tuned on 10,000 sentences of the corpus given, for Multi-SimLex
on the 10,000 most frequent English words (wordfreq), for retrieval on 10,000 sentences of
docstrings.  A seed sets order, masks and dropout; the strings stay the same, as in the paper.  The
control is a model of the base's shape with random weights, another for each seed.  No labels are
used for anything but the scores.  Stages are kept in the workspace: a second call goes on.
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

from mirror.corpus.ingest import ingest_corpus
from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef, tuned_encoder
from mirror.encoders.random_baseline import random_base
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.evaluate import score_encoder
from mirror.evaluation.kinds.retrieval import bm25_reciprocal_ranks, held_out_passages
from mirror.evaluation.stage import evaluate_encoder
from mirror.recipe import Recipe, find_recipe, parse_recipe
from mirror.run_data import RunData
from mirror.sampling.sample import sample_strings
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from mirror.tuning_config import LEVEL_DEFAULTS, Pooling

SHIPPED = "en-python-docs"
COLUMNS = ("STS-B", "STS, 7 sets", "Multi-SimLex en", "docstring retrieval")
WHITENED = "our default, whitened"


def papers_settings(level: str) -> dict[str, Any]:
    """The paper's for BERT, which are each level's own defaults."""
    return LEVEL_DEFAULTS[level]


def our_settings(level: str) -> dict[str, Any]:
    """The shipped recipe's; words keep their length, temperature and epochs."""
    names = {"pooling", "learning_rate"} if level == "word" else None
    return find_recipe(SHIPPED).tuning.model_dump(mode="json", include=names)


SETTINGS: dict[str, Callable[[str], dict[str, Any]]] = {
    "the paper's settings": papers_settings,
    "our default": our_settings,
    WHITENED: lambda level: our_settings(level) | {"whitening": 0.25},
}


@dataclass
class Field:
    """Strings to tune on, and the benchmarks that they are for."""

    recipe: Recipe
    corpus: StageRecord
    sample: StageRecord

    def tuned(
        self, base: EncoderRef, settings: dict[str, Any], seed: int, store: Store
    ) -> list[float]:
        """Scores of an encoder tuned from the base."""
        tuning = {**LEVEL_DEFAULTS[self.recipe.level], **settings, "seed": seed}
        content = {**self.recipe.model_dump(mode="json"), "tuning": tuning}
        recipe = parse_recipe(content, name=self.recipe.name, place="bench")
        record = tune_encoder(recipe, self.sample, base, store)
        return self._scores(tuned_encoder(record), store)

    def raw(self, base: EncoderRef, pooling: Pooling, store: Store) -> list[float]:
        """Scores of the base as it is."""
        level = self.recipe.level
        limit = (LEVEL_DEFAULTS[level] | our_settings(level))["max_tokens"]
        return self._scores(replace(base, pooling=pooling, max_tokens=limit), store)

    def _scores(self, place: EncoderRef, store: Store) -> list[float]:
        made = evaluate_encoder(self.recipe, place, RunData(self.corpus, self.sample), store)
        content = json.loads((made.path / "scores.json").read_text(encoding="utf-8"))
        found = content[self.recipe.evaluation.benchmarks[0]]
        parts = [found["subsets"]["stsb"]["score"]] if "stsb" in found["subsets"] else []
        return [*parts, found["score"]]


@dataclass
class Table:
    """Rows of scores, one list for each seed."""

    rows: dict[str, list[list[float]]] = field(default_factory=dict)

    def add(self, name: str, scores: list[float]) -> None:
        """Takes the scores of one seed, and shows them."""
        self.rows.setdefault(name, []).append(scores)
        print(name, " ".join(f"{value:.3f}" for value in scores), flush=True)

    def markdown(self) -> str:
        """The table, means and standard deviations over seeds."""
        lines = [f"| | {' | '.join(COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
        for name, runs in self.rows.items():
            cells = [_cell([run[column] for run in runs]) for column in range(len(COLUMNS))]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        return "\n".join(lines)


def _cell(values: Sequence[float]) -> str:
    if np.isnan(values).any():
        return "–"
    shown = f"{mean(values):.3f}".replace("0.", ".", 1)
    return shown + (f" ± {stdev(values):.3f}".replace("0.", ".", 1) if len(values) > 1 else "")


def make_fields(corpus: Path, store: Store) -> list[Field]:
    """Corpus and sample for each of the three kinds of strings."""
    shipped = find_recipe(SHIPPED)
    files = {"source": "files", "paths": [str(corpus)], "exclude_sources": ["open_english_wordnet"]}
    contents = (
        ("sentence", {**files, "source_column": "source", "min_characters": 20}, "sts-english"),
        ("word", {"source": "wordfreq", "check_language": False}, "multisimlex-en"),
        ("sentence", shipped.corpus.model_dump(mode="json"), "docstrings-retrieval"),
    )
    fields = []
    for level, section, benchmark in contents:
        recipe = parse_recipe(
            {
                "language": "en",
                "domain": "bench",
                "level": level,
                "corpus": section,
                "sample": {"size": 10_000},
                "base": {"path": "models/mirror-mini-en"},
                "evaluation": {"benchmarks": [benchmark]},
                "registry": {"model": "bench"},
            },
            name="bench",
            place="bench",
        )
        made = ingest_corpus(recipe, store)
        print(benchmark, dict(made.counts), f"{made.seconds:.0f} s", flush=True)
        fields.append(Field(recipe, made, sample_strings(recipe, made, store)))
    return fields


class WordPieceMeans:
    """Texts as the mean of their pieces' embeddings, before any layer."""

    def __init__(self, folder: Path) -> None:
        self._encoder = Encoder.load(folder, "mean", 128)
        self._table = self._encoder.model.get_input_embeddings().weight.detach().numpy()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (texts, width)."""
        rows = self._encoder.token_ids(list(texts))
        return np.stack([self._table[row[1:-1] or row].mean(axis=0) for row in rows])


def fill_table(
    table: Table, base: EncoderRef, fields: list[Field], seeds: list[int], store: Store
) -> None:
    """Scores every row."""
    poolings: dict[Pooling, str] = {"cls": "raw, CLS", "mean": "raw, mean"}
    for pooling, name in poolings.items():
        table.add(name, [score for part in fields for score in part.raw(base, pooling, store)])
    static = WordPieceMeans(Path(base.folder))
    run = RunData(fields[2].corpus, fields[2].sample)
    passages = held_out_passages(run)
    names = ("stsb", "sts-english", "multisimlex-en", "docstrings-retrieval")
    table.add(
        "mean of its word-piece embeddings",
        [score_encoder(static, read_definition(name), run).score for name in names],
    )
    table.add("BM25", [np.nan] * 3 + [float(bm25_reciprocal_ranks(passages).mean())])
    for seed in seeds:
        control = random_base(base, seed, store)
        for how, choose in SETTINGS.items():
            scores = [part.tuned(base, choose(part.recipe.level), seed, store) for part in fields]
            table.add(f"tuned, {how}", list(chain(*scores)))
            if how != WHITENED:
                of_control = [
                    part.tuned(control, choose(part.recipe.level), seed, store) for part in fields
                ]
                table.add(f"random weights, tuned, {how}", list(chain(*of_control)))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("corpus", type=Path, help="Parquet of English text with a source column")
    parser.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[42, 33, 44])
    parser.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))
    asked = parser.parse_args()
    store, table = Store(asked.workspace), Table()
    folder = asked.base.resolve()
    base = EncoderRef(str(folder), base_digest(folder), str(asked.base))
    fill_table(table, base, make_fields(asked.corpus.absolute(), store), asked.seeds, store)
    versions = ", ".join(f"{n} {importlib.metadata.version(n)}" for n in ("torch", "transformers"))
    print(
        f"\nbase {base.digest[:12]}, seeds {asked.seeds}, {versions}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores of {platform.machine()}\n"
    )
    print(table.markdown())


if __name__ == "__main__":
    main()
