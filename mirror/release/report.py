"""Run report: one self-contained HTML page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mirror.corpus.drift import drift_lines
from mirror.evaluation.score_change import ScoreChange
from mirror.hashing import digest_of_json
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release import plots
from mirror.release.gate import Verdict
from mirror.release.index_compatibility import read_compatibility, summary
from mirror.release.model_card import corpus_words, other_methods
from mirror.release.notices import find_notices
from mirror.release.run_results import RunResults, metric_changes, score_changes
from mirror.release.training_curve import loss_text, read_steps
from mirror.rendering import LIBRARIES, fill_template, template_digest
from mirror.stage_files import read_json
from mirror.store import Stage, StageRecord, Store, section_content

REPORT_TEMPLATE = "report.html.j2"
REPORT_STYLE = "report.css"
REPORT = "report.html"


def report_stage(results: RunResults, verdict: Verdict) -> Stage:
    """Return the stage that writes the report."""
    return Stage(
        name="report",
        module="release.report",
        inputs={
            **results.digests,
            "drift": digest_of_json(asdict(results.drift) if results.drift else None),
            "verdict": digest_of_json(json.loads(json.dumps(asdict(verdict), default=str))),
            "notices": digest_of_json([asdict(notice) for notice in find_notices(results)]),
            **({"compatibility": results.compatibility.digest} if results.compatibility else {}),
            "template": template_digest(REPORT_TEMPLATE),
            "style": template_digest(REPORT_STYLE),
        },
        section={**section_content(results.recipe), "base_origin": results.base.origin},
        libraries=(*LIBRARIES, *plots.LIBRARIES),
    )


def write_report(
    results: RunResults, verdict: Verdict, store: Store, on_progress: OnProgress = no_progress
) -> StageRecord:
    """Write `report.html`.

    Raises:
        StoreError: it cannot be written, or an earlier stage's folder is damaged.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        page = render_report(results, verdict)
        (out / REPORT).write_text(page, encoding="utf-8")
        on_progress(ProgressEvent("report", 1, 1, "pages"))
        return {"bytes": len(page.encode())}

    return store.make(report_stage(results, verdict), write)


def render_report(results: RunResults, verdict: Verdict) -> str:
    """Return the page as HTML."""
    scores, recipe, compared = score_changes(results), results.recipe, results.compatibility
    before, after = (
        read_json(record.path / "diagnostics.json") for record in (results.before, results.after)
    )
    return fill_template(
        REPORT_TEMPLATE,
        {
            "recipe": recipe,
            "verdict": verdict,
            "scores": scores,
            "readings": results.readings,
            "extra_metrics": metric_changes(results),
            "notices": find_notices(results),
            "drift": drift_lines(results.drift) if results.drift else [],
            "compatibility": summary(read_compatibility(compared)) if compared else (),
            "others": other_methods(scores),
            "scale": score_scale(scores),
            "subsets": _subsets(results),
            "interval": f"{recipe.evaluation.gate.confidence:.0%}",
            "neighbours": _neighbours(before["neighbours"], after["neighbours"]),
            "diagnostics_before": before,
            "diagnostics_after": after,
            "rejects": sorted(
                results.corpus.counts["rejected"].items(), key=lambda item: (-item[1], item[0])
            ),
            **_plots(results, before, after),
            **_tables(results),
            "corpus": results.corpus.counts,
            "sample": results.sample.counts,
            "tuned": results.tuned.counts,
        },
    )


def score_scale(scores: tuple[ScoreChange, ...]) -> tuple[float, float]:
    """Return the ends of the axis of all scores, in tenths."""
    values = [
        value
        for line in scores
        for value in (
            line.before,
            line.after,
            line.before + line.low,
            line.before + line.high,
            *line.baselines.values(),
        )
        if value == value  # not NaN
    ]
    if not values:
        return 0.0, 1.0
    low, high = int(min(0.0, *values) * 10 - 0.999), int(max(values) * 10 + 0.999)
    return min(0, low) / 10, max(1, high) / 10


def _plots(
    results: RunResults, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any]:
    cosines = [
        (diagnostics["cosines"]["bins"], diagnostics["cosines"]["counts"])
        for diagnostics in (before, after)
    ]
    losses = [step["loss"] for step in read_steps(results.tuned)]
    # `Markup` is safe: the SVG contains numbers only.
    return {
        "loss_plot": Markup(plots.plot_losses(losses)),  # noqa: S704
        "loss_text": loss_text(results),
        "cosine_plot": Markup(plots.plot_cosines(*cosines)),  # noqa: S704
        "length_plot": Markup(plots.plot_lengths(results.sample.counts["lengths"])),  # noqa: S704
    }


def _neighbours(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the nearest strings of each query, before and after, with a mark for new ones."""
    rows = []
    for old, new in zip(before, after, strict=True):
        known = {text for text, _ in old["nearest"]}
        rows.append(
            {
                "query": new["query"],
                "before": old["nearest"],
                "after": [(text, cosine, text not in known) for text, cosine in new["nearest"]],
            }
        )
    return rows


def _subsets(results: RunResults) -> dict[str, list[tuple[str, float, float, int]]]:
    """Return name, before, after and items of the subsets, by benchmark."""
    before, after = (
        read_json(record.path / "scores.json") for record in (results.before, results.after)
    )
    return {
        name: [
            (subset, before[name]["subsets"][subset]["score"], tuned["score"], tuned["n"])
            for subset, tuned in score["subsets"].items()
        ]
        for name, score in after.items()
        if len(score["subsets"]) > 1
    }


def _tables(results: RunResults) -> dict[str, Any]:
    recipe, base = results.recipe, results.base
    return {
        "tables": {
            "Base": {"from": base.origin, "digest": base.digest},
            "Data": {
                "source": corpus_words(recipe),
                **{key.replace("_", " "): value for key, value in _flat(results.corpus).items()},
                "strings tuned on": results.sample.counts["strings"],
            },
            "Tuning": {**section_content(recipe.tuning), **_flat(results.tuned)},
            "Digests": results.digests,
        }
    }


def _flat(record: StageRecord) -> dict[str, Any]:
    return {
        key: value
        for key, value in record.counts.items()
        if not isinstance(value, dict | list | tuple)
    }
