"""Change detection: whether text, recipe or base differ from those of the champion."""

from __future__ import annotations

from dataclasses import dataclass

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
from tasks.stage_task import run_task


@dataclass(frozen=True)
class RunInputs:
    """The inputs of a run, as collected before it draws its sample."""

    base: EncoderRef
    corpus: StageRecord
    profile: StageRecord
    pairs: StageRecord | None


@dataclass(frozen=True)
class ChangeReport:
    """Whether a run has anything to do, and why."""

    has_changed: bool
    reasons: tuple[str, ...]
    """Complete sentences."""
    champion: str | None = None
    """The version of the champion; None if there is none."""


@run_task(**RETRIES)
def detect_change(run: RunContext, inputs: RunInputs) -> ChangeReport:
    """Compare recipe, base, pairs and corpus with those of the current champion.

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


@run_task(**RETRIES)
def find_drift(run: RunContext, inputs: RunInputs, champion: Champion | None) -> Drift | None:
    """Return the drift from the champion's corpus; None if there is no comparable profile.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a profile is damaged.
    """
    if champion is None:
        return None
    metadata = fetch_metadata(run.recipe.registry.model, version=champion.version)
    drift = _drift(inputs, metadata) if metadata else None
    if drift:
        title = f"Corpus of {run.recipe.name} compared with its champion's"
        show_table("drift", drift_lines(drift), title)
    return drift


def _change(recipe: Recipe, inputs: RunInputs, champion: ChampionMetadata | None) -> ChangeReport:
    if champion is None:
        return ChangeReport(True, ("There is no champion yet.",))
    reasons = list(_differing_inputs(recipe, inputs, champion))
    drift = _drift(inputs, champion)
    if drift is None:
        return ChangeReport(True, tuple(reasons), champion.version)
    reasons += reasons_to_run(drift, recipe.drift)
    compared = f"Compared with the champion, version {champion.version}: {describe_drift(drift)}."
    return ChangeReport(bool(reasons), (*reasons, compared), champion.version)


def _differing_inputs(recipe: Recipe, inputs: RunInputs, champion: ChampionMetadata) -> list[str]:
    pairs = inputs.pairs.digest if inputs.pairs else ""
    differs = {
        "recipe": champion.recipe_digest != digest_of_json(section_content(recipe)),
        "base": champion.base_digest != inputs.base.digest,
        "set of labelled pairs": champion.pairs_digest != pairs,
    }
    reasons = [
        f"The {name} is not the champion's, version {champion.version}."
        for name in differs
        if differs[name]
    ]
    if champion.profile is None:
        reasons.append(f"The champion, version {champion.version}, has no profile of its corpus.")
    return reasons


def _drift(inputs: RunInputs, champion: ChampionMetadata) -> Drift | None:
    if champion.profile is None or champion.base_digest != inputs.base.digest:
        return None  # a profile counts the word pieces of its base's tokenizer
    return measure_drift(read_profile(inputs.profile), champion.profile)
