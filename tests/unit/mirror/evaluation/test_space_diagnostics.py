"""How a space looks."""

from __future__ import annotations

import numpy as np
import pytest

from mirror.evaluation.space_diagnostics import isotropy, space_diagnostics


def test_nearest_neighbours_are_nearest_and_never_the_query() -> None:
    vectors = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, 0]], np.float32)
    looks = space_diagnostics(["a", "b", "c", "d"], vectors)
    assert looks["neighbours"][0]["query"] == "a"
    assert [name for name, _ in looks["neighbours"][0]["nearest"]] == ["b", "c", "d"]


def test_the_histogram_counts_every_pair() -> None:
    rng = np.random.default_rng(0)
    looks = space_diagnostics(
        [str(i) for i in range(101)], rng.normal(size=(101, 8)).astype(np.float32)
    )
    assert sum(looks["cosines"]["counts"]) == 50
    assert len(looks["cosines"]["bins"]) == 51
    assert abs(looks["mean_cosine"]) < 0.2
    assert looks["different"] == 1


def test_collapsed_vectors_show() -> None:
    looks = space_diagnostics(list("abcd"), np.ones((4, 3), np.float32))
    assert looks["mean_cosine"] == pytest.approx(1)
    assert looks["different"] == 0.25


def test_isotropy_is_one_for_a_symmetric_cloud_and_small_for_a_cone() -> None:
    cloud = np.concatenate([np.eye(4), -np.eye(4)])
    assert isotropy(cloud) == pytest.approx(1)
    rng = np.random.default_rng(0)
    cone = rng.normal(size=(200, 4)) * 0.1 + [10, 0, 0, 0]
    assert isotropy(cone) < 0.01


def test_isotropy_survives_large_vectors() -> None:
    assert 0 <= isotropy(np.random.default_rng(0).normal(size=(50, 4)) * 1e4) <= 1
