"""Drift: what differs between two corpora, and whether that is enough."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from mirror.corpus.drift import (
    describe_drift,
    divergence_parts,
    drift_lines,
    measure_drift,
    reasons_to_run,
    share_lacking,
)
from mirror.corpus.profile import CorpusProfile
from mirror.drift_config import DriftSection

SIZE = 2_000


def marks(names: range) -> list[str]:
    return [hashlib.md5(str(name).encode()).hexdigest()[:16] for name in names]


def profile(names: range = range(100), size: int = SIZE, **changes) -> CorpusProfile:
    made = CorpusProfile(
        strings=len(names),
        sketch=tuple(sorted(marks(names))[:size]),
        pieces={"baker": 30, "sells": 10, "##s": 10},
        unknown=0,
        words=40,
        lengths={"20": 60, "30": 40},
    )
    return replace(made, **changes)


def test_a_corpus_does_not_differ_from_itself() -> None:
    drift = measure_drift(profile(), profile())
    assert (drift.new, drift.gone, drift.divergence, drift.length_distance) == (0, 0, 0, 0)
    assert (drift.risen, drift.fallen) == ((), ())
    assert reasons_to_run(drift, DriftSection()) == ()


def test_whole_corpora_are_compared_exactly() -> None:
    drift = measure_drift(profile(range(50, 250)), profile(range(100)))
    assert (drift.new, drift.gone) == (150 / 200, 50 / 100)
    assert (drift.strings_before, drift.strings_now) == (100, 200)


def test_of_large_corpora_the_share_of_new_strings_is_estimated_closely() -> None:
    before, now = profile(range(40_000)), profile(range(2_000, 44_000))
    assert share_lacking(now, before) == pytest.approx(4_000 / 42_000, abs=0.02)
    assert share_lacking(before, now) == pytest.approx(2_000 / 40_000, abs=0.02)


def test_a_small_corpus_inside_a_large_one_has_nothing_new() -> None:
    assert share_lacking(profile(range(100)), profile(range(40_000))) == 0
    assert share_lacking(profile(range(40_000)), profile(range(100))) > 0.99


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=20).filter(
        lambda pairs: any(one for one, _ in pairs) and any(other for _, other in pairs)
    )
)
def test_divergence_is_scipys_within_its_bounds_and_symmetric(pairs) -> None:
    one, other = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    one, other = one / one.sum(), other / other.sum()
    found = divergence_parts(one, other).sum()
    assert found == pytest.approx(jensenshannon(one, other, 2) ** 2, abs=1e-9)
    assert found == pytest.approx(divergence_parts(other, one).sum(), abs=1e-12)
    assert 0 <= found <= 1 + 1e-12


def test_word_initial_pieces_are_named_by_their_part_of_the_divergence() -> None:
    now = profile(pieces={"baker": 5, "sells": 10, "##s": 60, "covid": 40, "vaccine": 5})
    drift = measure_drift(now, profile())
    assert drift.risen == ("covid", "vaccine")
    assert drift.fallen == ("baker", "sells")


def test_the_distance_of_lengths_is_kolmogorov_and_smirnovs() -> None:
    now = profile(lengths={"20": 30, "30": 40, "100": 30})
    found = measure_drift(now, profile()).length_distance
    samples = [20] * 30 + [30] * 40 + [100] * 30, [20] * 60 + [30] * 40
    assert found == pytest.approx(ks_2samp(*samples).statistic)


@pytest.mark.parametrize(
    ("now", "setting"),
    [
        (profile(range(2, 102)), "new_strings"),
        (profile(pieces={"baker": 20, "sells": 20, "##s": 10}), "divergence"),
        (profile(unknown=1, pieces={"baker": 30, "sells": 10, "##s": 10, "?": 0}), "unknown"),
        (profile(words=37), "pieces_per_word"),
        (profile(lengths={"20": 50, "30": 50}), "lengths"),
    ],
)
def test_each_threshold_alone_is_a_reason(now: CorpusProfile, setting: str) -> None:
    [reason] = reasons_to_run(measure_drift(now, profile()), DriftSection())
    assert f"(drift.{setting})" in reason


def test_thresholds_are_the_recipes_own() -> None:
    drift = measure_drift(profile(range(2, 102)), profile())
    assert reasons_to_run(drift, DriftSection(new_strings=0.021)) == ()
    assert len(reasons_to_run(drift, DriftSection(new_strings=0.02))) == 1
    assert len(reasons_to_run(measure_drift(profile(), profile()), DriftSection(lengths=0))) == 1


def test_fewer_pieces_for_a_word_are_no_reason() -> None:
    better = measure_drift(profile(words=50), profile(unknown=5))
    assert reasons_to_run(better, DriftSection()) == ()


def test_drift_is_described_as_a_sentence_and_as_rows() -> None:
    drift = measure_drift(profile(range(2, 102)), profile())
    assert "2.0% of 100 strings are new and 2.0% of 100 are gone" in describe_drift(drift)
    rows = {line["what"]: (line["before"], line["now"]) for line in drift_lines(drift)}
    assert rows["pieces per word"] == ("1.250", "1.250")
    assert rows["mean characters"] == ("29.0", "29.0")
