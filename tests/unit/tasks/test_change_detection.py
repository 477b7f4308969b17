"""Change detection against the champion's lineage and profile in the registry."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from mirror.corpus.drift import Drift
from mirror.corpus.profile import PROFILE, CorpusProfile
from mirror.encoders.encoder_ref import EncoderRef
from mirror.hashing import digest_of_json
from mirror.paths import workspace_root
from mirror.recipe import Recipe
from mirror.release.run_results import RunResults
from mirror.run_context import RunContext
from mirror.store import StageRecord, Store
from tasks.change_detection import ChangeReport, RunInputs, detect_change, find_drift
from tasks.registry import register
from tasks.registry.candidate import Champion, RegistrationCandidate
from tasks.registry.lineage import fetch_metadata

MODEL = "mirror-en-trades"


def profile(new: int = 0) -> CorpusProfile:
    sketch = tuple(sorted(f"{number:016x}" for number in range(new, 100 + new)))
    return CorpusProfile(100, sketch, {"baker": 10}, 0, 10, {"20": 100})


@pytest.fixture
def write_profile(tmp_path: Path) -> Callable[[CorpusProfile], StageRecord]:
    def write(content: CorpusProfile) -> StageRecord:
        digest = digest_of_json(asdict(content))
        folder = tmp_path / "profiles" / digest
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROFILE).write_text(json.dumps(asdict(content)))
        return StageRecord("profile", digest[:20], str(folder), digest)

    return write


@pytest.fixture
def made(results: RunResults, write_profile: Callable[..., StageRecord]) -> RunInputs:
    """Return the inputs of a run on the champion's text."""
    return RunInputs(results.base, results.corpus, write_profile(profile()), None)


@pytest.fixture
def champion(
    make_candidate: Callable[..., RegistrationCandidate],
    made: RunInputs,
    workspace: Path,
    tracking: str,
) -> RegistrationCandidate:
    """A registered champion with its corpus's profile."""
    candidate = make_candidate(0)
    candidate = replace(candidate, results=replace(candidate.results, profile=made.profile))
    assert register.fn(candidate, workspace).promoted
    return candidate


def change_of(recipe: Recipe, made: RunInputs) -> ChangeReport:
    return detect_change.fn(RunContext(recipe, Store(workspace_root())), made)


def drift_of(recipe: Recipe, made: RunInputs, champion: Champion | None) -> Drift | None:
    return find_drift.fn(RunContext(recipe, Store(workspace_root())), made, champion)


def test_without_a_champion_a_run_goes_on(recipe, made, tracking) -> None:
    assert change_of(recipe, made) == ChangeReport(True, ("There is no champion yet.",))


def test_the_registry_has_the_lineage_of_the_champion(champion, recipe) -> None:
    for named in ({"alias": "champion"}, {"version": "1"}):
        origin = fetch_metadata(MODEL, **named)
        assert origin is not None
        assert origin.profile == profile()
        assert origin.version == "1"
    assert fetch_metadata(MODEL, alias="nobody") is None
    assert fetch_metadata(MODEL, version="7") is None


def test_the_champions_text_is_unchanged(champion, recipe, made) -> None:
    change = change_of(recipe, made)
    assert not change.has_changed
    assert change.champion == "1"
    [reason] = change.reasons
    assert "version 1: 0.0% of 100 strings are new" in reason


def test_enough_new_text_is_a_reason(champion, recipe, made, write_profile) -> None:
    change = change_of(recipe, replace(made, profile=write_profile(profile(new=5))))
    assert change.has_changed
    assert change.reasons[0].startswith("5.0% of the strings are new")
    assert "(drift.new_strings)" in change.reasons[0]


@pytest.mark.parametrize("what", ["recipe", "base", "set of labelled pairs"])
def test_another_recipe_base_or_set_of_pairs_is_a_reason(champion, recipe, made, what) -> None:
    if what == "recipe":
        recipe = recipe.model_copy(update={"sample": recipe.sample.model_copy(update={"seed": 7})})
    elif what == "base":
        made = replace(made, base=EncoderRef(made.base.folder, "c" * 64, "other"))
    else:
        made = replace(made, pairs=StageRecord("pairs", "k", "nowhere", "d" * 64))
    change = change_of(recipe, made)
    assert change.has_changed
    assert change.reasons[0] == f"The {what} is not the champion's, version 1."


def test_a_champion_without_a_profile_is_a_reason(
    make_candidate, recipe, made, workspace, tracking
) -> None:
    register.fn(make_candidate(0), workspace)
    change = change_of(recipe, made)
    assert change.has_changed
    assert change.reasons == ("The champion, version 1, has no profile of its corpus.",)


def test_the_drift_is_kept_with_the_version_it_is_evidence_for(
    champion, make_candidate, recipe, made, write_profile, workspace, client: Any
) -> None:
    rival = Champion("nowhere", "digest", version="1")
    now = replace(made, profile=write_profile(profile(new=5)))
    drift = drift_of(recipe, now, rival)
    assert drift is not None
    assert drift.new == 0.05
    candidate = make_candidate(1, champion=rival)
    candidate = replace(
        candidate, results=replace(candidate.results, profile=now.profile, drift=drift)
    )
    assert register.fn(candidate, workspace).version == "2"
    run = client.get_model_version(MODEL, "2").run_id
    kept = Path(client.download_artifacts(run, "corpus/drift.json"))
    assert json.loads(kept.read_text())["new"] == 0.05


def test_there_is_no_drift_without_a_rival_or_from_another_base(champion, recipe, made) -> None:
    assert drift_of(recipe, made, None) is None
    other = replace(made, base=EncoderRef(made.base.folder, "c" * 64, "other"))
    assert drift_of(recipe, other, Champion("nowhere", "digest", version="1")) is None
