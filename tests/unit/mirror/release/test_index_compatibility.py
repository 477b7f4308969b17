"""Index compatibility on constructed spaces with a known answer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirror.errors import InputError, StoreError
from mirror.evaluation.bootstrap import Estimate, mean_interval
from mirror.evaluation.procrustes import fit_map
from mirror.release.index_compatibility import (
    COMPATIBILITY,
    KEEP,
    ROTATE,
    Compatibility,
    SearchQuality,
    checked_unit_rows,
    compare_spaces,
    decide,
    nearest,
    overlaps,
    read_compatibility,
    render_compatibility,
    summary,
    to_json,
)
from mirror.store import StageRecord

TEXTS, WIDTH = 400, 16


def space(seed: int, width: int = WIDTH, texts: int = TEXTS) -> np.ndarray:
    """Vectors with a direction that all of them share, as encoders' have."""
    drawn = np.random.default_rng(seed).standard_normal((texts, width))
    drawn[:, 0] += 1.5
    return drawn.astype(np.float32)


def rotation(seed: int, width: int = WIDTH) -> np.ndarray:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, width)))
    return turn.astype(np.float32)


def test_the_same_encoder_is_kept() -> None:
    found, _ = compare_spaces(space(1), 3 * space(1))
    assert found.verdict == "keep"
    assert found.neighbours == Estimate(1, 1, 1)
    assert found.kept is not None
    assert found.kept.overlap == found.kept.recall == Estimate(1, 1, 1)
    assert found.kept.cosine == pytest.approx(1)
    assert (found.fitted, found.judged, found.widths) == (200, 200, (16, 16))


def test_a_rotated_space_is_mapped_back_without_loss() -> None:
    old = space(1)
    found, space_map = compare_spaces(old, old @ rotation(2))
    assert found.verdict == "rotate"
    assert found.neighbours.mean == pytest.approx(1)
    assert found.kept is not None
    assert found.kept.overlap.high < 0.3
    assert found.rotated.overlap.mean == pytest.approx(1)
    assert found.rotated.recall.mean == 1
    assert found.rotated.cosine == pytest.approx(1)
    np.testing.assert_allclose(space_map.turn, rotation(2), atol=1e-5)


def test_unrelated_encoders_need_a_new_index() -> None:
    found, _ = compare_spaces(space(1), space(2))
    assert found.verdict == "re-embed"
    chance = 10 / 199
    for share in (found.neighbours, found.rotated.overlap):
        assert share.mean == pytest.approx(chance, abs=0.04)
    assert found.rotated.recall.mean < 0.2
    assert "rebuild the index" in found.reasons[0]


def with_noise(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A space, and the same a little otherwise for each text: no map undoes that."""
    old = checked_unit_rows(space(1), "old").astype(np.float32)
    drawn = np.random.default_rng(4).standard_normal(old.shape).astype(np.float32)
    return old, old + noise * drawn


def test_an_index_that_rotation_does_not_improve_is_kept() -> None:
    old, new = with_noise(0.025)
    found, _ = compare_spaces(old, new)
    assert found.kept is not None and found.gained is not None
    assert ROTATE <= found.kept.overlap.low < KEEP
    assert found.rotated.overlap.low >= ROTATE
    assert found.kept.overlap.mean >= found.rotated.overlap.mean
    assert found.gained.low <= 0
    assert found.verdict == "keep"
    assert "interval above 80%" in found.reasons[0]
    assert "(not significantly more): an index can stay as it is" in found.reasons[0]


def test_the_gain_of_rotation_is_the_mean_difference_per_text() -> None:
    found, _ = compare_spaces(space(1), space(1) @ rotation(2))
    assert found.kept is not None and found.gained is not None
    apart = found.rotated.overlap.mean - found.kept.overlap.mean
    assert found.gained.mean == pytest.approx(apart)
    assert 0.5 < found.gained.low <= found.gained.mean <= found.gained.high
    assert f"and {found.kept.overlap.mean:.1%} among unchanged ones" in found.reasons[0]


def test_rotation_that_does_not_help_is_not_reported_as_help() -> None:
    found, _ = compare_spaces(*with_noise(0.12))
    assert found.verdict == "re-embed"
    assert "Even brought over" not in found.reasons[0]
    assert "and rotating is not significantly better: rebuild" in found.reasons[0]


@pytest.mark.parametrize(
    ("kept", "rotated", "gained", "verdict"),
    [
        (0.91, 0.99, 0.05, "keep"),
        (0.85, 0.85, -0.01, "keep"),
        (0.85, 0.75, -0.12, "keep"),
        (0.79, 0.81, 0.0, "keep"),
        (0.79, 0.79, -0.01, "re-embed"),
        (0.85, 0.95, 0.08, "rotate"),
        (0.30, 0.80, 0.45, "rotate"),
        (0.30, 0.79, 0.45, "re-embed"),
        (None, 0.80, None, "rotate"),
        (None, 0.79, None, "re-embed"),
    ],
)
def test_rotating_must_be_significantly_better_than_keeping(
    kept: float | None, rotated: float, gained: float | None, verdict: str
) -> None:
    def side(low: float) -> SearchQuality:
        return SearchQuality(Estimate(low + 0.01, low, low + 0.02), Estimate(1, 1, 1), 0.9)

    more = None if gained is None else Estimate(gained + 0.01, gained, gained + 0.02)
    assert decide(side(kept) if kept else None, side(rotated), more) == verdict


def test_the_map_centres_shifted_spaces() -> None:
    old = checked_unit_rows(space(1), "old")
    aside = np.zeros(WIDTH)
    aside[3] = 2.0
    x, y = old, checked_unit_rows((old @ rotation(2) + aside).astype(np.float32), "new")
    found, _ = compare_spaces(x.astype(np.float32), y.astype(np.float32))
    plain = x @ np.linalg.multi_dot(np.linalg.svd(x.T @ y)[::2])
    plain /= np.linalg.norm(plain, axis=1, keepdims=True)
    without = overlaps(
        nearest(y, plain, include_self=False), nearest(y, y, include_self=False)
    ).mean()
    assert found.rotated.overlap.mean > without + 0.1


@pytest.mark.parametrize(("old", "new"), [(16, 24), (24, 16)])
def test_spaces_of_different_dimensions_are_rotated(old: int, new: int) -> None:
    wide = space(1, max(old, new))
    wide[:, 16:] *= 0.01
    found, space_map = compare_spaces(wide[:, :old], wide[:, :new])
    assert found.kept is None
    assert found.verdict == "rotate"
    assert found.rotated.overlap.mean > 0.95
    assert space_map.turn.shape == (old, new)
    assert "dimensions differ" in found.reasons[1]


def test_evaluation_texts_are_not_used_for_fitting() -> None:
    """With as many dimensions as texts, a map fits any two spaces perfectly."""
    old, new = space(1, 300, 120), space(2, 300, 120)
    found, _ = compare_spaces(old, new)
    assert found.rotated.overlap.mean < 0.4
    assert found.reasons[1] == (
        "The map was fitted on 60 texts, fewer than the 300 dimensions: more texts give a better "
        "one."
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 99))
def test_the_map_is_orthogonal_on_its_shorter_side(old: int, new: int, seed: int) -> None:
    x, y = (
        checked_unit_rows(space(seed + side, width, 60), "a")
        for side, width in ((0, old), (1, new))
    )
    turn = fit_map(x, y).turn
    product = turn.T @ turn if old >= new else turn @ turn.T
    np.testing.assert_allclose(product, np.eye(min(old, new)), atol=1e-9)


def test_no_other_rotation_has_a_smaller_distance() -> None:
    x, y = (
        checked_unit_rows(space(1), "a"),
        checked_unit_rows(space(1) @ rotation(2) + space(3), "b"),
    )
    found = fit_map(x, y)
    centred_x, centred_y = x - x.mean(axis=0), y - y.mean(axis=0)
    best = np.linalg.norm(centred_x @ found.turn - centred_y)
    for seed in range(50):
        other = np.linalg.norm(centred_x @ found.turn @ rotation(seed) - centred_y)
        assert other > best


def test_nearest_equals_a_full_sort_without_the_text_itself() -> None:
    unit = checked_unit_rows(space(1, texts=1_100), "a")
    found = nearest(unit, unit, include_self=False)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -np.inf)
    for row in (0, 499, 500, 1_099):
        assert set(found[row]) == set(np.argsort(-cosines[row])[:10])
    assert all(row in nearest(unit, unit, include_self=True)[row] for row in (0, 600, 1_099))


def test_overlap_counts_shared_neighbours() -> None:
    found = np.arange(20).reshape(2, 10)
    expected = found + np.array([[0], [3]])
    assert overlaps(found, expected).tolist() == [1.0, 0.7]


def test_the_interval_is_that_of_a_mean() -> None:
    values = np.tile([0.0, 1.0], 200)
    share = mean_interval(values, resamples=1_000, confidence=0.95)
    assert share.mean == 0.5
    half = 1.96 * 0.5 / np.sqrt(400)
    assert share.low == pytest.approx(0.5 - half, abs=0.01)
    assert share.high == pytest.approx(0.5 + half, abs=0.01)
    assert mean_interval(values, resamples=1_000, confidence=0.95) == share


@pytest.mark.parametrize(
    ("row", "which"), [((np.nan,) * WIDTH, "new"), ((0.0,) * WIDTH, "new")], ids=["nan", "zero"]
)
def test_zero_and_nan_vectors_are_refused(row: tuple[float, ...], which: str) -> None:
    new = space(1)
    new[7] = row
    with pytest.raises(InputError, match=f"the {which} encoder gives vectors of zeros or nan"):
        compare_spaces(space(1), new)


def test_too_few_texts_are_refused() -> None:
    with pytest.raises(InputError, match="59 different texts are too few: give 60 or more"):
        compare_spaces(space(1)[:59], space(1)[:59])


@pytest.mark.parametrize("width", [16, 12])
def test_a_report_survives_writing_and_reading(tmp_path: Path, width: int) -> None:
    found, _ = compare_spaces(space(1), space(2, width))
    (tmp_path / COMPATIBILITY).write_text(to_json(found))
    record = StageRecord("compatibility", "k", str(tmp_path), "d", {})
    assert read_compatibility(record) == found
    assert json.loads(to_json(found))["thresholds"] == {"keep": 0.9, "rotate": 0.8}
    (tmp_path / COMPATIBILITY).write_text("{}")
    with pytest.raises(StoreError, match="remove its folder"):
        read_compatibility(record)


def report(width: int = WIDTH) -> Compatibility:
    return compare_spaces(space(1), space(1, width))[0]


def test_the_summary_has_three_lines() -> None:
    lines = summary(report())
    assert lines[0].startswith("Keep. New queries find 100.0%")
    assert (
        lines[1] == "Overlap of the 10 nearest within each encoder's space: 1.000 [1.000, 1.000]."
    )
    assert "1.000 [1.000, 1.000] unchanged, 1.000 [1.000, 1.000] rotated" in lines[2]


def test_the_page_shows_names_and_runs_nothing() -> None:
    page = render_compatibility("<script>old</script>", "models:/new/2", report())
    assert "<script" not in page
    assert "&lt;script&gt;old&lt;/script&gt; → models:/new/2" in page
    assert "Keep the index" in page
    assert "An index is kept if the interval lies above 90%, and rotated if" in page
    assert "Rotating adds +.000 (+.000 to +.000)" in page
    assert "the dimensions differ" in render_compatibility("a", "b", report(12))
