"""A new benchmark kind is one module: here it is made up and scored by the evaluation stage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BenchmarkError
from mirror.evaluation import benchmark
from mirror.evaluation.benchmark import (
    KINDS,
    Benchmark,
    check_definitions,
    find_kind,
    read_definition,
    register_kind,
)
from mirror.evaluation.comparison import compare
from mirror.evaluation.datasets import find_file, read_lines
from mirror.evaluation.metrics import Predictions
from mirror.evaluation.result import make_result
from mirror.evaluation.stage import evaluate_encoder, evaluation_stage
from mirror.run_data import RunData
from mirror.store import StageRecord, Store

KIND_TOML = """
task   = "odd-one-out"
margin = 0.0
[[files]]
path   = "odd.txt"
sha256 = "{digest}"
"""
WORDS = "cat,dog,cow,stone\nred,blue,green,chair\n"


class OddOneOut(Benchmark):
    """Lists of words of which the last one does not belong."""

    TASK = "odd-one-out"
    METRIC = "accuracy"
    EXTRA_METRICS = ("words",)
    LIBRARIES = ("pyarrow",)
    FILE_COUNT = 1

    margin: float

    def load(self, run):
        return [line.split(",") for line in read_lines(find_file(self, self.files[0]))]

    def score(self, encoder, data, second=None):
        correct = []
        for words in data:
            vectors = encoder.encode(words)
            distances = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
            correct.append(float(distances[-1] >= distances[:-1].max() + self.margin))
        predictions = Predictions(("",) * len(correct), np.asarray(correct))
        return make_result(self, predictions, extra_metrics={"words": float(sum(map(len, data)))})


@pytest.fixture
def odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, digest_of) -> str:
    """A benchmark of the new kind."""
    find_kind("average")  # the shipped kinds are registered first
    monkeypatch.setitem(KINDS, "odd-one-out", None)
    register_kind(OddOneOut)
    monkeypatch.setattr(benchmark, "DEFINITIONS", tmp_path)
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(tmp_path))
    (tmp_path / "odd.txt").write_text(WORDS)
    (tmp_path / "odd.toml").write_text(KIND_TOML.format(digest=digest_of(WORDS)))
    return "odd"


@pytest.fixture
def digest_of():
    from hashlib import sha256

    return lambda text: sha256(text.encode()).hexdigest()


def test_the_kind_declares_keys_and_checks(odd: str, tmp_path: Path) -> None:
    assert read_definition(odd).metric == "accuracy"
    text = (tmp_path / "odd.toml").read_text()
    for faulty, message in (
        (text.replace("margin = 0.0", ""), "margin: missing"),
        (text.replace("margin", "columns"), "columns: unknown key"),
        (text.replace("odd-one-out", "odd-two-out"), "unknown task .*classification.*odd-one-out"),
        (text.split("[[")[0], "needs 1 `files`"),
    ):
        (tmp_path / "faulty.toml").write_text(faulty)
        with pytest.raises(BenchmarkError, match=message):
            check_definitions(["faulty"])


def test_the_evaluation_stage_scores_and_compares_it(
    odd: str, recipe, tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    folder = tmp_path / "sample"
    folder.mkdir()
    pq.write_table(pa.table({"text": sentences[:60]}), folder / "strings.parquet")
    sample = StageRecord("sample", "k", str(folder), "k")
    section = recipe.evaluation.model_copy(update={"benchmarks": (odd,)})
    chosen = recipe.model_copy(update={"evaluation": section})
    store = Store(tmp_path / "workspace")
    records = [
        evaluate_encoder(
            chosen,
            EncoderRef(str(tiny_base), pooling, pooling=pooling),
            RunData(sample, sample),
            store,
        )
        for pooling in ("mean", "cls")
    ]
    scores = json.loads((records[0].path / "scores.json").read_text())["odd"]
    assert (scores["metric"], scores["n"]) == ("accuracy", 2)
    assert scores["extra_metrics"] == {"words": 8.0}
    (change,) = compare(*records, section.gate)
    assert (change.benchmark, change.metric, change.n) == ("odd", "accuracy", 2)


def test_the_stage_depends_on_its_code_data_and_libraries(odd: str, recipe, tmp_path: Path) -> None:
    section = recipe.evaluation.model_copy(update={"benchmarks": (odd,)})
    chosen = recipe.model_copy(update={"evaluation": section})
    record = StageRecord("sample", "k", "sample", "k")
    stage = evaluation_stage(chosen, EncoderRef("e", "digest"), RunData(record, record))
    assert {"benchmark odd", "kind odd-one-out"} < set(stage.inputs)
    assert "pyarrow" in stage.libraries
