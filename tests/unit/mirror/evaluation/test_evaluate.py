"""An encoder on benchmarks of several tasks at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef
from mirror.encoders.fitted_layers import fit_reduction
from mirror.errors import BenchmarkError
from mirror.evaluation import benchmark
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.evaluate import score_encoder, write_evaluation
from mirror.evaluation.result import CachingEncoder
from mirror.recipe import EvaluationSection
from mirror.run_data import RunData
from mirror.store import StageRecord

LABELS = 'labels = ["no", "yes"]\n'


class Lengths:
    """An encoder that tells texts by their length alone."""

    def encode(self, texts):
        angles = np.asarray([len(text) for text in texts]) / 10
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands for that of the shipped definitions, with two of labelled pairs."""
    monkeypatch.setattr(benchmark, "DEFINITIONS", tmp_path)
    for name, wrong in (("one", "no"), ("two", "yes")):
        rows = ["a\ta\tyes", f"a\taaaaa\t{wrong}", "a\taaa\tno", "a\taa\tyes"]
        text = "\n".join(["sentence1\tsentence2\tscore", *rows, ""])
        (tmp_path / f"{name}.tsv").write_text(text)
        head = f'task = "classification"\nmetric = "auc"\nfile = "{name}.tsv"\n'
        (tmp_path / f"{name}.toml").write_text(head + LABELS)
    (tmp_path / "both.toml").write_text(
        'task = "average"\nmetric = "auc"\nmembers = ["one", "two"]\n'
    )
    (tmp_path / "space.toml").write_text(
        'task = "space-diagnostics"\nmetric = "isotropy"\nused_by_gate = false\n'
    )
    return tmp_path


def test_pairs_with_labels_are_scored_by_the_auc_of_their_cosines(shipped: Path) -> None:
    assert score_encoder(Lengths(), read_definition("one")).score == 1.0
    # Of three pairs of a "yes" and a "no" one is in the wrong order.
    assert score_encoder(Lengths(), read_definition("two")).score == pytest.approx(2 / 3)


def test_an_average_of_labelled_pairs_is_their_mean(shipped: Path) -> None:
    result = score_encoder(Lengths(), read_definition("both"))
    assert (result.metric, result.n) == ("auc", 8)
    assert result.score == pytest.approx((1 + 2 / 3) / 2)


def test_texts_shared_by_members_of_an_average_are_encoded_once() -> None:
    met = []

    class Counts(Lengths):
        def encode(self, texts):
            met.append(tuple(texts))
            return super().encode(texts)

    encoder = CachingEncoder(Counts())
    long, short = ("a", "bb", "ccc"), ("d", "ee")
    found = [encoder.encode(texts) for texts in (short, long, short, list(long), long[:2])]
    assert met == [short, long, short, long[:2]]
    for vectors, texts in zip(found, (short, long, short, long, long[:2]), strict=True):
        assert np.array_equal(vectors, Lengths().encode(texts))


def test_space_diagnostics_need_a_run(shipped: Path, tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="space is measured on a run's own texts"):
        score_encoder(Lengths(), read_definition("space"))
    texts = ["a" * size for size in range(2, 30)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "strings.parquet")
    sample = StageRecord("sample", "k", str(tmp_path), "k")
    assert score_encoder(Lengths(), read_definition("space"), RunData(sample, sample)).n == 28


def test_an_evaluation_records_what_the_gate_uses(
    shipped: Path, tmp_path: Path, tiny_base: Path, sentences: list[str]
) -> None:
    made = tmp_path / "sample"
    made.mkdir()
    pq.write_table(pa.table({"text": sentences[:60]}), made / "strings.parquet")
    sample = StageRecord("sample", "k", str(made), "k")
    ref = EncoderRef(str(tiny_base), "digest", pooling="mean", max_tokens=32)
    out = tmp_path / "out"
    out.mkdir()
    names = EvaluationSection(benchmarks=("both", "space"))
    counts = write_evaluation(names, ref, RunData(sample, sample), out)
    scores = json.loads((out / "scores.json").read_text())
    assert {name: one["used_by_gate"] for name, one in scores.items()} == {
        "both": True,
        "space": False,
    }
    assert counts == {name: one["score"] for name, one in scores.items()}
    assert {"mean vector norm", "alignment", "uniformity"} < set(scores["space"]["extra_metrics"])
    assert scores["space"]["n"] == 60
    assert sorted(path.stem for path in (out / "predictions").iterdir()) == ["one", "two"]


def test_predictions_are_those_of_the_vectors_as_they_are_stored(
    shipped: Path, tmp_path: Path, tiny_base: Path, sentences: list[str]
) -> None:
    encoder = Encoder.load(tiny_base, "mean", 32)
    encoder.append_layer(fit_reduction(encoder.encode(sentences[:64]), 4))
    encoder.save(tmp_path / "encoder")
    (tmp_path / "sample").mkdir()
    pq.write_table(pa.table({"text": sentences[:60]}), tmp_path / "sample" / "strings.parquet")
    sample = StageRecord("sample", "k", str(tmp_path / "sample"), "k")

    def predicted(**variant: Any) -> list[float]:
        ref = EncoderRef(str(tmp_path / "encoder"), "digest", **variant)
        (out := tmp_path / str(variant)).mkdir()
        write_evaluation(EvaluationSection(benchmarks=("two",)), ref, RunData(sample, sample), out)
        return pq.read_table(out / "predictions" / "two.parquet")["predicted"].to_pylist()

    exact, rounded, whole = predicted(), predicted(stored_as="int8"), predicted(all_dimensions=True)
    assert exact != rounded and rounded == pytest.approx(exact, abs=0.02)
    assert whole != pytest.approx(exact, abs=1e-4)
