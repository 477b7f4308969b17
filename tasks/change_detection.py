"""Whether there is anything to do, as tasks: today's corpus beside the champion's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from prefect import task

from mirror.corpus import profile_stage
from mirror.corpus.drift import Drift, describe_drift, drift_lines, measure_drift, reasons_to_run
from mirror.corpus.profile import read_profile
from mirror.encoders.encoder_ref import EncoderRef
from mirror.recipe import Recipe
from mirror.store import StageRecord, Store, digest_of_json, section_content
from tasks.artifacts import show_markdown, show_table
from tasks.progress import Reporter
from tasks.registry.candidate import Champion
from tasks.registry.origins import ChampionMetadata, find_origin
from tasks.registry.versions import CHAMPION
from tasks.retries import RETRIES
from tasks.stage_task import as_cached_state, stage_task


@dataclass(frozen=True)
class RunInputs:
    """What a run has gathered before it samples."""

    base: EncoderRef
    corpus: StageRecord
    profile: StageRecord
    pairs: StageRecord | None


@dataclass(frozen=True)
class ChangeReport:
    """Why a run goes on, or why it need not."""

    go_on: bool
    reasons: tuple[str, ...]
    """Whole sentences."""
    champion: str | None = None
    """The version that was compared with."""


@stage_task()
def profile_corpus(corpus: StageRecord, base: EncoderRef, workspace: Path) -> StageRecord:
    """Draws up the corpus's profile; see `mirror.corpus.profile_stage.profile_corpus`."""
    return as_cached_state(profile_stage.profile_corpus(corpus, base, Store(workspace), Reporter()))


@task(task_run_name="find_change", **RETRIES)
def find_change(recipe: Recipe, made: RunInputs) -> ChangeReport:
    """Compares recipe, base, pairs and corpus with those of today's champion.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a profile is damaged.
    """
    change = _change(recipe, made, find_origin(recipe.registry.model, alias=CHAMPION))
    heading = "Goes on" if change.go_on else "Nothing to do"
    text = "\n".join([f"**{heading}**", "", *(f"- {reason}" for reason in change.reasons)])
    show_markdown("change", text, f"Whether {recipe.name} has anything to do")
    return change


@task(task_run_name="find_drift", **RETRIES)
def find_drift(recipe: Recipe, made: RunInputs, rival: Champion | None) -> Drift | None:
    """The corpus beside that of the encoder to beat; nothing if they cannot be compared.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a profile is damaged.
    """
    if rival is None:
        return None
    origin = find_origin(recipe.registry.model, version=rival.version)
    drift = _drift(made, origin) if origin else None
    if drift:
        show_table("drift", drift_lines(drift), f"Corpus of {recipe.name} beside its champion's")
    return drift


def _change(recipe: Recipe, made: RunInputs, origin: ChampionMetadata | None) -> ChangeReport:
    if origin is None:
        return ChangeReport(True, ("There is no champion yet.",))
    reasons = list(_other_reasons(recipe, made, origin))
    drift = _drift(made, origin)
    if drift is None:
        return ChangeReport(True, tuple(reasons), origin.version)
    reasons += reasons_to_run(drift, recipe.drift)
    said = f"Beside the champion, version {origin.version}: {describe_drift(drift)}."
    return ChangeReport(bool(reasons), (*reasons, said), origin.version)


def _other_reasons(recipe: Recipe, made: RunInputs, origin: ChampionMetadata) -> list[str]:
    whose = f"the champion's, version {origin.version}"
    pairs = made.pairs.digest if made.pairs else ""
    differ = {
        "recipe": origin.recipe_digest != digest_of_json(section_content(recipe)),
        "base": origin.base_digest != made.base.digest,
        "set of labelled pairs": origin.pairs_digest != pairs,
    }
    reasons = [f"The {what} is not {whose}." for what, differs in differ.items() if differs]
    if origin.profile is None:
        reasons.append(f"The champion, version {origin.version}, has no profile of its corpus.")
    return reasons


def _drift(made: RunInputs, origin: ChampionMetadata) -> Drift | None:
    if origin.profile is None or origin.base_digest != made.base.digest:
        return None  # profiles are counted in a base's own word pieces
    return measure_drift(read_profile(made.profile), origin.profile)
