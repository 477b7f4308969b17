"""Diagnostics of an embedding space."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.errors import BenchmarkError
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.kinds.space_diagnostics import (
    alignment,
    isotropy,
    isotropy_as_published,
    shortened,
    space_diagnostics,
    uniformity,
)
from mirror.run_data import RunData
from mirror.store import StageRecord

DEFINITION = read_definition("sample-space")


class Lookup:
    """An encoder of whole texts, which has the same vector for what it does not know."""

    def __init__(self, vectors, unknown) -> None:
        self.vectors, self.unknown = vectors, unknown

    def encode(self, texts):
        return np.asarray([self.vectors.get(text, self.unknown) for text in texts], np.float32)


def test_diagnostics_match_values_computed_by_hand() -> None:
    encoder = Lookup({"one": [3, 0], "two": [0, 4]}, [1, 0])
    result = DEFINITION.score(encoder, ["one", "two"])
    # Along the axes, which are the eigenvectors, Z is 1 + e^3 and 1 + e^4, or with minus signs.
    along = [1 + math.exp(sign * length) for length in (3, 4) for sign in (1, -1)]
    signs = [[along[a], along[b]] for a in (0, 1) for b in (2, 3)]
    assert any(result.score == pytest.approx(min(z) / max(z)) for z in signs)
    assert tuple(result.extra_metrics) == DEFINITION.extra_metric_names()
    assert result.extra_metrics["mean vector norm"] == pytest.approx(math.hypot(1.5, 2))
    assert result.extra_metrics["alignment"] == pytest.approx((0 + 2) / 2)
    assert result.extra_metrics["uniformity"] == pytest.approx(-4)
    assert result.n == 2
    assert result.predictions is None


def test_an_even_cloud_is_isotropic_and_a_narrow_one_is_not() -> None:
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(5_000, 6)) * 0.5
    assert isotropy(cloud) > 0.95
    assert isotropy(cloud + 20) < 1e-6
    # The plain sum of exponentials overflows here.
    assert 0 <= isotropy(cloud * 3_000) < 1


@pytest.mark.parametrize(
    ("norm", "published"), [(12.73, 0.062), (6.93, 0.222), (5.57, 0.265), (2.11, 0.599)]
)
def test_table_9_is_of_the_rows_and_not_of_the_eigenvectors(norm: float, published: float) -> None:
    rng = np.random.default_rng(0)
    mean = rng.normal(size=768)
    cloud = norm * mean / np.linalg.norm(mean) + rng.normal(size=(1_500, 768)) * 0.2
    assert isotropy_as_published(cloud) == pytest.approx(published, rel=0.35)
    assert isotropy(cloud) < published / 4


def test_alignment_and_uniformity_do_not_depend_on_lengths() -> None:
    vectors = np.random.default_rng(1).normal(size=(40, 5)).astype(np.float32)
    assert alignment(vectors, 3 * vectors) == pytest.approx(0, abs=1e-9)
    assert uniformity(5 * vectors) == pytest.approx(uniformity(vectors), abs=1e-5)


def test_uniformity_is_the_mean_over_pairs() -> None:
    vectors = np.random.default_rng(1).normal(size=(30, 4)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    apart = [np.square(unit[i] - unit[j]).sum() for i in range(30) for j in range(i)]
    pairs = np.exp(-2 * np.asarray(apart))
    assert uniformity(vectors) == pytest.approx(math.log(pairs.mean()), abs=1e-5)
    assert uniformity(np.ones((9, 3), np.float32)) == pytest.approx(0, abs=1e-6)


def test_a_run_of_characters_is_left_out() -> None:
    texts = ["ab", "abcdef", "the baker sells a red mirror"]
    found = shortened(texts)
    assert [len(text) - len(short) for text, short in zip(texts, found, strict=True)] == [1, 2, 5]
    for text, short in zip(texts, found, strict=True):
        run = len(text) - len(short)
        assert short in {text[:at] + text[at + run :] for at in range(len(short) + 1)}
    assert found == shortened(texts)


@pytest.mark.parametrize("vector", [[0, 0], [math.nan, 1]])
def test_vectors_that_are_not_numbers_are_an_error(vector) -> None:
    with pytest.raises(BenchmarkError, match="zeros or nan"):
        DEFINITION.score(Lookup({}, vector), ["one", "two"])


def run_of(folder: Path, texts: list[str]) -> RunData:
    pq.write_table(pa.table({"text": texts}), folder / "strings.parquet")
    record = StageRecord("sample", "k", str(folder), "d")
    return RunData(record, record)


def test_texts_of_one_character_are_left_out(tmp_path: Path) -> None:
    assert DEFINITION.load(run_of(tmp_path, ["one", "x", "two"])) == ["one", "two"]


def test_too_few_texts_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match=r"needs 2 texts .* and there are 1"):
        DEFINITION.load(run_of(tmp_path, ["one", "x", ""]))


def test_space_diagnostics_are_never_used_by_the_gate(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('task = "space-diagnostics"\nmetric = "isotropy"\n')
    with pytest.raises(BenchmarkError, match="used_by_gate = false"):
        read_definition(str(path))


def test_nearest_neighbours_are_nearest_and_never_the_query() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0]], np.float32)
    diagnostics = space_diagnostics(["a", "b", "c", "d"], vectors)
    assert diagnostics["neighbours"][0]["query"] == "a"
    assert [name for name, _ in diagnostics["neighbours"][0]["nearest"]] == ["b", "c", "d"]


def test_the_histogram_counts_every_pair() -> None:
    rng = np.random.default_rng(0)
    diagnostics = space_diagnostics(
        [str(i) for i in range(101)], rng.normal(size=(101, 8)).astype(np.float32)
    )
    assert sum(diagnostics["cosines"]["counts"]) == 50
    assert len(diagnostics["cosines"]["bins"]) == 51
    assert abs(diagnostics["mean_cosine"]) < 0.2
    assert diagnostics["unique_fraction"] == 1


def test_collapsed_vectors_are_detected() -> None:
    diagnostics = space_diagnostics(list("abcd"), np.ones((4, 3), np.float32))
    assert diagnostics["mean_cosine"] == pytest.approx(1)
    assert diagnostics["unique_fraction"] == 0.25


def test_isotropy_is_one_for_a_symmetric_cloud_and_small_for_a_cone() -> None:
    cloud = np.concatenate([np.eye(4), -np.eye(4)])
    assert isotropy(cloud) == pytest.approx(1)
    rng = np.random.default_rng(0)
    cone = rng.normal(size=(200, 4)) * 0.1 + [10, 0, 0, 0]
    assert isotropy(cone) < 0.01


def test_isotropy_is_finite_for_large_vectors() -> None:
    assert 0 <= isotropy(np.random.default_rng(0).normal(size=(50, 4)) * 1e4) <= 1
