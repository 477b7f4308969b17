"""What comes to the registry with a tuned encoder: the encoder and the evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mirror.encoders.encoder_ref import ENCODER, EncoderRef, tuned_encoder
from mirror.recipe import Recipe
from mirror.release.gate import Verdict
from mirror.release.lineage import read_lineage
from mirror.release.report import REPORT
from mirror.release.run_results import RunResults, read_json
from mirror.store import StageRecord, digest_of_json, git_commit

VALUE_CHARACTERS = 500
"""What every MLflow store takes as a parameter's value."""
DESCRIPTION_CHARACTERS = 5_000


@dataclass(frozen=True)
class Champion(EncoderRef):
    """A registered encoder to compare with, copied into the workspace."""

    label: str = "champion"
    version: str = ""


@dataclass(frozen=True)
class Registration:
    """Where an encoder stands in the registry."""

    model: str
    version: str
    champion: str | None
    """The version that is champion now."""
    outcome: str
    """`promoted`, `not promoted`, or by which version it was overtaken."""
    run_id: str
    text: str
    """All that in a sentence."""
    reused: bool = False
    """Whether it was registered before."""
    pages: tuple[tuple[str, str], ...] = ()
    """Names and addresses of its pages, where the tracking store is a server that has any."""

    @property
    def promoted(self) -> bool:
        """Whether this registration made it champion."""
        return self.outcome == "promoted"

    @property
    def uri(self) -> str:
        """The version, for MLflow."""
        return f"models:/{self.model}/{self.version}"


@dataclass(frozen=True)
class RegistrationCandidate:
    """An encoder that has been through the gate."""

    results: RunResults
    champion: Champion | None
    """What it was compared with."""
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
        """The recipe that made it."""
        return self.results.recipe

    @property
    def digest(self) -> str:
        """The encoder's digest, from the manifest of the stage that tuned it."""
        return tuned_encoder(self.results.tuned).digest

    @cached_property
    def key(self) -> str:
        """What tells one registration from another: the encoder, and the verdict on it."""
        compared = self.champion.digest if self.champion else None
        verdict = self.verdict_content()
        verdict.pop("probe")  # its times differ from one look to the next
        content = {
            "encoder": self.digest,
            "verdict": verdict,
            "compared_with": compared,
        }
        return digest_of_json(content)[:20]

    def lineage(self) -> dict[str, Any]:
        """What the encoder was made from, and what it is registered as.

        Raises:
            StoreError: the package has no lineage, or a damaged one.
        """
        model = {"name": self.recipe.registry.model, "registration_key": self.key}
        return {**read_lineage(self.encoder.parent), "model": model}

    def verdict_content(self) -> dict[str, Any]:
        """The verdict, JSON-ready, in words and numbers."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self.verdict), default=str))
        return content

    def verdict_text(self) -> str:
        """The verdict in words."""
        heading = "Promoted" if self.verdict.promote else "Not promoted"
        lines = [f"{heading}:", *(f"- {reason}" for reason in self.verdict.reasons)]
        return "\n".join(lines)[:DESCRIPTION_CHARACTERS]

    def params(self) -> dict[str, str]:
        """The recipe, a setting each."""
        return dict(_flatten(self.recipe.model_dump(mode="json")))

    def metrics(self) -> Iterator[tuple[str, float, int, int]]:
        """Name, value, time and step of each metric, as MLflow takes them."""
        lines = (self.results.tuned.path / "steps.jsonl").read_text("utf-8").splitlines()
        # Times would make every line different; MLflow orders a run's points by step.
        for step in map(json.loads, lines):
            yield "tuning/loss", step["loss"], 0, step["step"]
            yield "tuning/learning_rate", step["learning_rate"], 0, step["step"]
            for name in ("alignment", "uniformity"):  # of the steps that were measured
                if name in step:
                    yield f"tuning/{name}", step[name], 0, step["step"]
        for who, scores in self._evaluations():
            for benchmark, score in scores.counts.items():
                yield f"{who}/{benchmark}", score, 0, 0
            for benchmark, found in read_json(scores, "scores.json").items():
                for measure, value in found.get("extra_metrics", {}).items():
                    yield f"{who}/{metric_name(benchmark, measure)}", value, 0, 0

    def _evaluations(self) -> Iterator[tuple[str, StageRecord]]:
        yield "base", self.results.before
        yield "tuned", self.results.after
        if self.champion_scores:
            yield "champion", self.champion_scores


def metric_name(benchmark: str, measure: str) -> str:
    """A benchmark's measure as every MLflow store takes it: `acc@5` is `NAME.acc_at_5`.

    After a dot, for a store of files has no room below the benchmark's own score.
    """
    spelt = re.sub(r"\W+", "_", measure.replace("@", "_at_"), flags=re.ASCII)
    return f"{benchmark}.{spelt.strip('_')}"


def registration_tags(candidate: RegistrationCandidate) -> dict[str, str]:
    """Tags of run and version: what it is, what it was made from, what was decided."""
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
        "encoder_digest": candidate.digest,
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
