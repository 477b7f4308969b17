"""Change detection: whether text, recipe or base differ from those of the champion."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import task

from mirror.corpus.drift import Drift, describe_drift, drift_lines, measure_drift, reasons_to_run
from mirror.corpus.profile import read_profile
from mirror.encoders.encoder_ref import EncoderRef
from mirror.hashing import digest_of_json
from mirror.recipe import Recipe
from mirror.run_context import RunContext
from mirror.store import StageRecord, section_content
from tasks.artifacts import show_markdown, show_table
from tasks.registry.candidate import Champion
from tasks.registry.lineage import ChampionMetadata, fetch_metadata
from tasks.registry.versions import CHAMPION
from tasks.retries import RETRIES


@dataclass(frozen=True)
class RunInputs:
    """Everything that a run has collected before it draws its sample."""

    base: EncoderRef
    corpus: StageRecord
    profile: StageRecord
    pairs: StageRecord | None


@dataclass(frozen=True)
class ChangeReport:
    """Whether a run has anything to do, and why."""

    has_changed: bool
    reasons: tuple[str, ...]
    """Whole sentences."""
    champion: str | None = None
    """The version that was compared with."""


@task(task_run_name="detect_change", **RETRIES)
def detect_change(run: RunContext, inputs: RunInputs) -> ChangeReport:
    """Compares recipe, base, pairs and corpus with those of today's champion.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a profile is damaged.
    """
    recipe = run.recipe
    change = _change(recipe, inputs, fetch_metadata(recipe.registry.model, alias=CHAMPION))
    heading = "Changed" if change.has_changed else "Nothing to do"
    text = "\n".join([f"**{heading}**", "", *(f"- {reason}" for reason in change.reasons)])
    show_markdown("change", text, f"Whether {recipe.name} has anything to do")
    return change


@task(task_run_name="find_drift", **RETRIES)
def find_drift(run: RunContext, inputs: RunInputs, champion: Champion | None) -> Drift | None:
    """The corpus beside that of the encoder to beat; nothing if they cannot be compared.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a profile is damaged.
    """
    if champion is None:
        return None
    origin = fetch_metadata(run.recipe.registry.model, version=champion.version)
    drift = _drift(inputs, origin) if origin else None
    if drift:
        title = f"Corpus of {run.recipe.name} compared with its champion's"
        show_table("drift", drift_lines(drift), title)
    return drift


def _change(recipe: Recipe, inputs: RunInputs, origin: ChampionMetadata | None) -> ChangeReport:
    if origin is None:
        return ChangeReport(True, ("There is no champion yet.",))
    reasons = list(_other_reasons(recipe, inputs, origin))
    drift = _drift(inputs, origin)
    if drift is None:
        return ChangeReport(True, tuple(reasons), origin.version)
    reasons += reasons_to_run(drift, recipe.drift)
    said = f"Beside the champion, version {origin.version}: {describe_drift(drift)}."
    return ChangeReport(bool(reasons), (*reasons, said), origin.version)


def _other_reasons(recipe: Recipe, inputs: RunInputs, origin: ChampionMetadata) -> list[str]:
    whose = f"the champion's, version {origin.version}"
    pairs = inputs.pairs.digest if inputs.pairs else ""
    differ = {
        "recipe": origin.recipe_digest != digest_of_json(section_content(recipe)),
        "base": origin.base_digest != inputs.base.digest,
        "set of labelled pairs": origin.pairs_digest != pairs,
    }
    reasons = [f"The {what} is not {whose}." for what, differs in differ.items() if differs]
    if origin.profile is None:
        reasons.append(f"The champion, version {origin.version}, has no profile of its corpus.")
    return reasons


def _drift(inputs: RunInputs, origin: ChampionMetadata) -> Drift | None:
    if origin.profile is None or origin.base_digest != inputs.base.digest:
        return None  # profiles are counted in a base's own word pieces
    return measure_drift(read_profile(inputs.profile), origin.profile)
