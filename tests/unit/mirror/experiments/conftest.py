"""An invented paper: one table, its recipes, and a benchmark of four pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.experiments.bases import BaseFolders
from mirror.experiments.paper_plan import plan_tables
from mirror.experiments.plan import ExperimentPlan, StudyOptions, plan_study
from mirror.experiments.published import PaperTable, read_table
from mirror.experiments.results import Measured, measure_cells
from mirror.experiments.study import find_study
from mirror.experiments.trial import Trial, TrialKey, TrialResult
from mirror.store import StageRecord, Store

PAIRS = [
    ("the baker sells a mirror", "the baker sells a mirror", 5),
    ("a wet letter", "a wet ladder", 3),
    ("the pilot hides", "two red kettles and a wagon", 1),
    ("a quiet garden", "the miner counts lanterns", 0),
]
REVISION = "0123456789abcdef0123456789abcdef01234567"
RECIPE = """
language = "{language}"
domain = "trades"
level = "sentence"
[corpus]
source = "files"
paths = [{text}]
check_language = false
[sample]
size = 32
[base]
hub = "someone/some-base"
revision = "{revision}"
[tuning]
batch_size = 8
max_tokens = 20
precision = "fp32"
[evaluation]
benchmarks = ["own"]
[registry]
model = "mirror-trades"
"""
TABLE = """
id = "T8"
also = ["T18"]
title = "Noise <b>& marks</b>"
metric = "Spearman's rho"
tolerance = 0.01
recipe = "en-trades"
[[columns]]
key = "own"
benchmark = "own"
[[columns]]
key = "strict"
recipe = "fr-trades"
benchmark = "own"
settings = { temperature = 0.1 }
[[columns]]
key = "missing"
benchmark = "not-there"
[[columns]]
key = "avg"
mean = true
[[rows]]
key = "other"
label = "Another method"
kind = "published-only"
values = [0.9, 0.9, 0.9, 0.9]
[[rows]]
key = "raw"
label = "Base | plain"
kind = "raw"
pooling = "cls"
values = [0.1, 0.1, 0.1, 0.1]
[[rows]]
key = "full"
label = "Base + Mirror"
kind = "tuned"
values = [0.3, 0.3, 0.3, 0.3]
[[rows]]
key = "no-noise"
label = "no noise"
kind = "tuned"
settings = { dropout = 0.0 }
values = [0.2, 0.2, 0.2, 0.2]
[[orderings]]
text = "Tuning helps, noise more."
order = ["full/own", "no-noise/own", "raw/own"]
"""


@pytest.fixture
def table(tmp_path: Path) -> PaperTable:
    """A table of three measured rows and a quoted one; a benchmark has no definition."""
    path = tmp_path / "01-noise.toml"
    path.write_text(TABLE)
    return read_table(path)


@pytest.fixture
def invented_paper(
    tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Replace the project's recipes and benchmarks by invented ones; return the text's path."""

    def write() -> Path:
        text = tmp_path / "text.txt"
        text.write_text("".join(f"{line.capitalize()}.\n" for line in sentences[:100]))
        recipes, definitions = tmp_path / "recipes", tmp_path / "definitions"
        for folder in (recipes, definitions):
            folder.mkdir()
        for language in ("en", "fr"):
            words: dict[str, Any] = {
                "language": language,
                "text": json.dumps(str(text)),
                "revision": REVISION,
            }
            (recipes / f"{language}-trades.toml").write_text(RECIPE.format(**words))
        rows = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in PAIRS)]
        (definitions / "own.tsv").write_text("\n".join(rows) + "\n")
        (definitions / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
        monkeypatch.setattr("mirror.evaluation.benchmark.DEFINITIONS", definitions)
        monkeypatch.setattr("mirror.experiments.paper_plan.PAPER_RECIPES", recipes)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        return text

    return write


BASE = EncoderRef("/bases/tiny", "b" * 64, "tiny")


def result_of(trial: Trial, score: float) -> TrialResult:
    """Return a result of a trial that never ran, with the same score on every benchmark."""
    record = StageRecord("evaluation", "k", "/made", "d", {}, 30.0)
    extra = {"isotropy, table 9": score / 4, "mean vector norm": 10 * score, "alignment": 0.0}
    scores = {"stsb": score, "sample-space": score / 2}
    details = {
        name: {"score": scores.get(name, score), "extra_metrics": extra}
        for name in trial.recipe.evaluation.benchmarks
    }
    tuned = StageRecord("tune", "k", "/made", "d", {}, 3.0)
    return TrialResult(details, record, trial.base, tuned)


def study_plan_and_values(
    name: str, faults: Mapping[TrialKey, str] | None = None, **options: Any
) -> tuple[ExperimentPlan, dict[Any, Measured]]:
    """Plan a study without checking data and base; scores are .5 and .6 for the first variant.

    Each next variant scores .01 more.
    """
    study = find_study(name)
    benchmarks = ("stsb", *(["sample-space"] if study.extra_metrics else []))
    with pytest.MonkeyPatch.context() as patch:
        for check in ("check_benchmarks", "check_sources"):
            patch.setattr(f"mirror.experiments.plan.{check}", lambda *_: None)
        patch.setattr("mirror.experiments.plan.check_base_for", lambda *_, **__: None)
        chosen = StudyOptions(benchmarks=benchmarks, **{"seeds": (1, 2), **options})
        plan = plan_study(study, chosen, lambda _: BASE, None)  # type: ignore[arg-type]
    labels = list(dict.fromkeys(trial.label for trial in plan.trials))
    results = {
        trial.key: result_of(trial, 0.5 + 0.1 * (trial.seed - 1) + 0.01 * labels.index(trial.label))
        for trial in plan.trials
        if trial.key not in (faults or {})
    }
    return plan, measure_cells(plan, results, faults or {}, {})


def paper_plan_and_values(
    table: PaperTable, scores: Mapping[Any, Any], folders: BaseFolders, store: Store
) -> tuple[ExperimentPlan, dict[Any, Measured]]:
    """Plan a table and fill it, by row or by row and column, with scores of seeds or a reason."""
    plan = plan_tables([table], [table], folders, (42, 33), store)
    results: dict[TrialKey, TrialResult] = {}
    faults: dict[TrialKey, str] = {}
    trials = {trial.key: trial for trial in plan.trials}
    for (_, row, column, _), cell in plan.cells.items():
        values = scores.get((row, column), scores[row])
        for keys in cell.encoders:
            each = values if isinstance(values, tuple) else [values] * len(keys)
            for key, value in zip(keys, each[: len(keys)], strict=True):
                if isinstance(value, str):
                    faults[key] = value
                else:
                    untuned = replace(result_of(trials[key], value), tuned=None)
                    results[key] = untuned
    return plan, measure_cells(plan, results, faults, {})


GOOD = {"raw": (0.1,), "full": (0.30, 0.32), "no-noise": (0.2, 0.2)}
"""Scores of the invented table by row, one for each seed."""


@pytest.fixture
def measured_table(
    table: PaperTable, invented_paper: Callable[[], Path], tiny_base: Path, store: Store
) -> Callable[..., Any]:
    """Fill the table with values by row, on the stand-in or on the paper's base."""
    invented_paper()

    def fill(scores: dict[str, Any], *, own: bool = False) -> Any:
        named = {"someone/some-base": tiny_base} if own else {}
        folders = BaseFolders(named=named, stand_ins={} if own else {"en": tiny_base})
        return paper_plan_and_values(table, scores, folders, store)

    return fill
