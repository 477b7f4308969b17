"""Figures of studies."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from mirror.experiments.figure import Panel, draw_figure, panels_of
from mirror.experiments.study import find_study

from .conftest import study_plan_and_values


def panels(name: str, level: Any, **options: Any) -> list[Panel]:
    return panels_of(find_study(name), *study_plan_and_values(name, **options), level)


def test_the_figure_has_our_values_and_the_papers() -> None:
    ours, published = panels("mask-length", "sentence")
    [series] = ours.series
    assert (series.name, series.positions) == ("stsb", (2, 5, 10, 15, 20))
    assert series.values == pytest.approx((0.55, 0.56, 0.57, 0.58, 0.59))
    assert series.spreads == pytest.approx((0.0707,) * 5, abs=1e-4)
    assert [each.name.partition(",")[0] for each in published.series] == ["BERT", "RoBERTa"]
    assert published.series[0].values == (0.741, 0.743, 0.720, 0.690, 0.616)


@pytest.mark.parametrize("name", ["mask-length", "isotropy", "rate-and-temperature", "epochs"])
def test_the_figure_is_complete_svg_with_equal_bytes(name: str) -> None:
    study = find_study(name)
    plan, values = study_plan_and_values(name)
    svg = draw_figure(study, plan, values)
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {text.strip() for text in root.itertext()}
    assert study.title in words
    assert words >= {"the paper", "ours"} or len(plan.levels) > 1
    assert {"the paper, words", "the paper, sentences"} <= words or name != "isotropy"
    assert draw_figure(study, plan, values) == svg


def test_metrics_above_one_have_their_own_panel() -> None:
    found = panels("isotropy", "word")
    assert [(panel.title, [series.name for series in panel.series]) for panel in found] == [
        ("ours, words", ["stsb", "sample-space", "sample-space: isotropy, table 9"]),
        ("ours, words", ["sample-space: mean vector norm"]),
        ("the paper, words", ["BERT, IS"]),
        ("the paper, words", ["BERT, MVN"]),
    ]


def test_a_single_seed_has_no_error_bars() -> None:
    assert panels("mask-length", "sentence", seeds=(1,))[0].series[0].spreads == (0.0,) * 5
