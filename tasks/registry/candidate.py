"""Candidate for registration: a tuned encoder with its scores, verdict and tags."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import (
    ENCODER,
    EncoderRef,
    folder_encoder_digest,
    tuned_encoder,
)
from mirror.hashing import digest_of_json
from mirror.held_out import HELD_OUT_SHARE
from mirror.provenance import git_commit
from mirror.recipe import Recipe
from mirror.release.gate import Verdict
from mirror.release.lineage import read_lineage
from mirror.release.notices import find_notices
from mirror.release.report import REPORT
from mirror.release.run_results import RunResults
from mirror.release.training_curve import read_steps
from mirror.stage_files import read_json
from mirror.store import StageRecord
from tasks.registry.versions import BASE_ENCODER

VALUE_CHARACTERS = 500
"""The longest parameter value that every MLflow store accepts."""
DESCRIPTION_CHARACTERS = 5_000


@dataclass(frozen=True)
class Champion(EncoderRef):
    """A registered encoder to compare with, downloaded into the workspace."""

    label: str = "champion"
    version: str = ""
    held_out_share: float | None = None
    """The share of documents that was held out when it was tuned; None if it has no such tag."""


@dataclass(frozen=True)
class Registration:
    """Result of registering an encoder."""

    model: str
    version: str
    champion: str | None
    """The version that is champion now."""
    outcome: str
    """The version's promotion status: `promoted`, `not promoted`, `superseded by version 3` …"""
    run_id: str
    text: str
    """The result in a sentence."""
    reused: bool = False
    """Whether it was registered before, with the same verdict."""
    pages: tuple[tuple[str, str], ...] = ()
    """Titles and addresses of its pages in MLflow; empty without a tracking server."""

    @property
    def promoted(self) -> bool:
        """Whether this registration made it champion."""
        return self.outcome == "promoted"

    @property
    def uri(self) -> str:
        """The version's `models:/` URI."""
        return f"models:/{self.model}/{self.version}"


@dataclass(frozen=True)
class RegistrationCandidate:
    """An encoder with the gate's verdict on it."""

    results: RunResults
    champion: Champion | None
    """The version that it was compared with."""
    champion_scores: StageRecord | None
    verdict: Verdict
    package: StageRecord
    """Encoder, model card and lineage."""
    page: StageRecord
    """The report."""

    @property
    def encoder(self) -> Path:
        """The folder of the packaged encoder."""
        return self.package.path / ENCODER

    @property
    def report(self) -> Path:
        """The file of the report."""
        return self.page.path / REPORT

    @property
    def recipe(self) -> Recipe:
        """The recipe of the run."""
        return self.results.recipe

    @property
    def digest(self) -> str:
        """The encoder's digest, read from the manifest of the stage that tuned it."""
        return tuned_encoder(self.results.tuned).digest

    @cached_property
    def key(self) -> str:
        """Digest of the encoder, its verdict and the champion's encoder: one version per key."""
        verdict = self.verdict_content()
        verdict["input"].pop("smoke_test")  # its timings differ between runs
        content = {
            "encoder": self.digest,
            "verdict": verdict,
            "compared_with": self.champion.digest if self.champion else None,
        }
        return digest_of_json(content)[:20]

    def lineage(self) -> dict[str, Any]:
        """Return the lineage of the packaged encoder, with the model's name and this key."""
        model = {"name": self.recipe.registry.model, "registration_key": self.key}
        return {**read_lineage(self.encoder.parent), "model": model}

    def verdict_content(self) -> dict[str, Any]:
        """Return the verdict as JSON data."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self.verdict), default=str))
        return content

    def verdict_text(self) -> str:
        """Return the verdict as text, cut to what every MLflow store accepts."""
        heading = "Promoted" if self.verdict.promote else "Not promoted"
        lines = [f"{heading}:", *(f"- {reason}" for reason in self.verdict.reasons)]
        return "\n".join(lines)[:DESCRIPTION_CHARACTERS]

    def params(self) -> dict[str, str]:
        """Return the recipe's settings, one parameter each."""
        return dict(_flatten(self.recipe.model_dump(mode="json")))

    def metrics(self) -> Iterator[tuple[str, float, int, int]]:
        """Yield name, value, time and step of each metric."""
        # The time is always 0: MLflow orders a metric's points by step.
        for step in read_steps(self.results.tuned):
            yield "tuning/loss", step["loss"], 0, step["step"]
            yield "tuning/learning_rate", step["learning_rate"], 0, step["step"]
        for notice in find_notices(self.results):
            yield f"notices/{notice.name}", notice.count, 0, 0
            yield f"notices/{notice.name}.share", notice.share, 0, 0
        for who, scores in self._evaluations():
            for benchmark, score in scores.counts.items():
                yield f"{who}/{benchmark}", score, 0, 0
            for benchmark, result in read_json(scores.path / "scores.json").items():
                for measure, value in result.get("extra_metrics", {}).items():
                    yield f"{who}/{metric_name(benchmark, measure)}", value, 0, 0

    def _evaluations(self) -> Iterator[tuple[str, StageRecord]]:
        yield "base", self.results.before
        yield "tuned", self.results.after
        if self.champion_scores:
            yield "champion", self.champion_scores


def metric_name(benchmark: str, measure: str) -> str:
    """Return a benchmark's extra metric as MLflow accepts it: `acc@5` is `NAME.acc_at_5`.

    A dot and not a slash, because a file store keeps `NAME` as a file.
    """
    spelt = re.sub(r"\W+", "_", measure.replace("@", "_at_"), flags=re.ASCII)
    return f"{benchmark}.{spelt.strip('_')}"


def registration_tags(candidate: RegistrationCandidate) -> dict[str, str]:
    """Return the tags of a run and its version: kind, inputs and verdict."""
    results, recipe = candidate.results, candidate.recipe
    tags = {
        "language": recipe.language,
        "domain": recipe.domain,
        "level": recipe.level,
        "recipe": recipe.name,
        "recipe_digest": digest_of_json(recipe.model_dump(mode="json")),
        "corpus_digest": results.corpus.digest,
        "sample_digest": results.sample.digest,
        **({"pairs_digest": results.pairs.digest} if results.pairs else {}),
        "base": results.base.origin,
        "base_digest": results.base.digest,
        **(
            {BASE_ENCODER: folder_encoder_digest(Path(results.base.folder))}
            if recipe.base.registry
            else {}
        ),
        "encoder_digest": candidate.digest,
        HELD_OUT_SHARE: str(results.sample.counts[HELD_OUT_SHARE]),
        "git_commit": git_commit(),
        "verdict": "promote" if candidate.verdict.promote else "refuse",
        "registration_key": candidate.key,
    }
    if results.compatibility:
        tags["compatibility"] = str(results.compatibility.counts["verdict"])
    if candidate.champion:
        tags["compared_with"] = candidate.champion.version
    return tags


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, part in value.items():
            yield from _flatten(part, f"{name}.{key}" if name else key)
    else:
        yield name, str(value)[:VALUE_CHARACTERS]
