"""Registration: one version per encoder and verdict, one champion."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import ServiceError
from mirror.recipe import Recipe
from mirror.reuse_only import NotMadeError, reuse_only
from mirror.run_context import RunContext
from mirror.store import Store
from tasks import registry
from tasks.registry import registration as registration_module
from tasks.registry import run_logging
from tasks.registry.candidate import Champion, Registration, RegistrationCandidate
from tasks.registry.registration import workspace_id

MODEL = "mirror-en-trades"

register = registry.register.fn


def fetch_champion(recipe: Recipe, digest: str, workspace: Path) -> Champion | None:
    """Return the champion that a run of the recipe compares the encoder of that digest with."""
    run = RunContext(recipe, Store(workspace))
    return registry.fetch_champion.fn(run, EncoderRef("unused", digest))


Make = Callable[..., RegistrationCandidate]


@pytest.fixture
def first(make_candidate: Make, workspace: Path, tracking: str) -> Registration:
    """Version 1, the champion."""
    return register(make_candidate(0), workspace)


@pytest.fixture
def champion(first: Registration, recipe: Recipe, workspace: Path) -> Champion:
    """Version 1, to compare with."""
    found = fetch_champion(recipe, "of another encoder", workspace)
    assert found is not None
    return found


def aliases(client: Any) -> dict[str, str]:
    return {
        name: str(number) for name, number in client.get_registered_model(MODEL).aliases.items()
    }


def versions(client: Any) -> list[str]:
    return sorted(str(found.version) for found in client.search_model_versions(f"name='{MODEL}'"))


def previous_champions(client: Any, number: str) -> list[str]:
    """The champions before a version, as its history tag lists them."""
    history = json.loads(client.get_model_version(MODEL, number).tags["champion_history"])
    assert [change["action"] for change in history["changes"]] == ["promoted"]
    return list(history["previous"])


def test_the_first_good_encoder_is_champion(first: Registration, client: Any) -> None:
    assert first.promoted
    assert first.champion == "1"
    assert first.text == f"{MODEL} version 1: promoted; champion is version 1"
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    assert previous_champions(client, "1") == []


def test_a_repeated_run_does_not_open_an_unchanged_store(
    first: Registration,
    make_candidate: Make,
    recipe: Recipe,
    workspace: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make_candidate(0)
    for module in ("registration.registry_lock", "champion.open_store"):
        monkeypatch.delattr(f"tasks.registry.{module}")
    assert fetch_champion(recipe, candidate.digest, workspace) is None
    again = register(candidate, workspace)
    assert again.text == f"{first.text} (registered before; reused)"
    assert replace(again, text=first.text, reused=False) == first


def test_another_encoder_is_compared_with_the_champion_of_an_unchanged_store(
    first: Registration, make_candidate: Make, recipe: Recipe, workspace: Path
) -> None:
    other = make_candidate(1)
    champion = fetch_champion(recipe, other.digest, workspace)
    assert champion is not None and champion.version == first.version
    assert not register(other, workspace).reused


def test_the_champion_has_the_share_of_documents_that_was_held_out(
    first: Registration, recipe: Recipe, workspace: Path, client: Any
) -> None:
    champion = fetch_champion(recipe, "of another encoder", workspace)
    assert champion is not None and champion.held_out_share == 0.25
    client.delete_model_version_tag(MODEL, first.version, "held_out_share")
    champion = fetch_champion(recipe, "of another encoder", workspace)
    assert champion is not None and champion.held_out_share is None


def test_a_changed_store_is_asked_again(
    first: Registration, make_candidate: Make, workspace: Path, client: Any
) -> None:
    client.delete_registered_model_alias(MODEL, "champion")
    again = register(make_candidate(0), workspace)
    assert (again.reused, again.champion) == (True, None)


def test_in_reuse_only_mode_no_version_is_added(
    make_candidate: Make, workspace: Path, client: Any
) -> None:
    with reuse_only(), pytest.raises(NotMadeError):
        register(make_candidate(0), workspace)
    assert versions(client) == []
    made = register(make_candidate(0), workspace)
    (workspace / "registry" / f"{MODEL}.json").unlink()
    with reuse_only():
        again = register(make_candidate(0), workspace)
    assert (again.reused, again.version) == (True, made.version)


def test_extra_metrics_are_logged_with_the_scores(first: Registration, client: Any) -> None:
    metrics = client.get_run(first.run_id).data.metrics
    assert (metrics["base/likeness"], metrics["tuned/likeness"]) == (0.25, 0.5)
    assert metrics["base/likeness.alignment"] == 0.75
    assert metrics["tuned/likeness.alignment"] == 0.625


def test_a_refused_first_encoder_leaves_no_champion(
    make_candidate: Make, workspace: Path, client: Any
) -> None:
    registration = register(make_candidate(0, promote=False), workspace)
    assert registration.outcome == "not promoted"
    assert registration.champion is None
    assert registration.text.endswith("there is no champion yet")
    assert aliases(client) == {"challenger": "1"}


def test_a_recipe_can_require_approval(make_candidate: Make, workspace: Path, client: Any) -> None:
    candidate = make_candidate(0)
    evaluation = candidate.recipe.evaluation
    gate = evaluation.gate.model_copy(update={"require_approval": True})
    recipe = candidate.recipe.model_copy(
        update={"evaluation": evaluation.model_copy(update={"gate": gate})}
    )
    candidate = replace(candidate, results=replace(candidate.results, recipe=recipe))
    registration = register(candidate, workspace)
    assert registration.outcome == "pending approval"
    assert not registration.promoted
    assert aliases(client) == {"challenger": "1"}
    assert register(candidate, workspace).reused


def test_a_refusal_leaves_the_champion(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion
) -> None:
    registration = register(make_candidate(1, promote=False, champion=champion), workspace)
    assert (registration.version, registration.champion) == ("2", "1")
    assert aliases(client) == {"champion": "1", "challenger": "2"}
    tags = client.get_model_version(MODEL, "2").tags
    assert (tags["verdict"], tags["promotion_status"]) == ("refuse", "not promoted")
    assert tags["compared_with"] == "1"
    assert "champion_history" not in tags


def test_a_promotion_records_the_previous_champion(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion
) -> None:
    registration = register(make_candidate(1, champion=champion), workspace)
    assert registration.promoted
    assert aliases(client) == {"champion": "2", "challenger": "2"}
    assert previous_champions(client, "2") == ["1"]


def test_a_comparison_with_a_former_champion_is_superseded(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    registration = register(make_candidate(2, champion=champion), workspace)
    assert registration.outcome == "superseded by version 2"
    assert not registration.promoted
    assert registration.text == (
        f"{MODEL} version 3: superseded by version 2; run again to be compared with it; "
        "champion is version 2"
    )
    assert aliases(client) == {"champion": "2", "challenger": "3"}
    # Moved back by hand: the champion is the version that it was compared with again.
    client.set_registered_model_alias(MODEL, "champion", "1")
    assert register(make_candidate(2, champion=champion), workspace).promoted


def test_a_comparison_with_none_is_superseded_by_the_first_champion(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    assert register(make_candidate(1), workspace).outcome == "superseded by version 1"
    assert aliases(client)["champion"] == "1"


def test_a_superseded_encoder_is_promoted_once_it_is_compared(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion, recipe: Recipe
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    register(make_candidate(2, champion=champion), workspace)
    today = fetch_champion(recipe, make_candidate(2).digest, workspace)
    assert today is not None and today.version == "2"
    assert register(make_candidate(2, champion=today), workspace).promoted
    assert aliases(client) == {"champion": "4", "challenger": "4"}


def test_the_same_encoder_with_the_same_verdict_is_registered_once(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    again = register(make_candidate(0), workspace)
    assert again.reused and not first.reused
    assert (again.version, again.run_id) == ("1", first.run_id)
    candidate = make_candidate(0)
    (candidate.encoder / "README.md").write_text("another card\n")
    assert register(candidate, workspace).reused
    assert versions(client) == ["1"]


def test_another_verdict_on_the_same_encoder_is_registered(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    assert not register(make_candidate(0, promote=False), workspace).reused
    assert versions(client) == ["1", "2"]
    assert aliases(client) == {"champion": "1", "challenger": "2"}


def evaluated_again(candidate: RegistrationCandidate) -> RegistrationCandidate:
    """Return the same encoder with the verdict of other benchmarks or gate settings."""
    verdict = replace(candidate.verdict, reasons=("Better than its base on other data.",))
    return replace(candidate, verdict=verdict)


def test_a_champion_evaluated_again_is_not_superseded_by_itself(
    make_candidate: Make, workspace: Path, client: Any, recipe: Recipe, champion: Champion
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    today = fetch_champion(recipe, make_candidate(1).digest, workspace)
    again = evaluated_again(make_candidate(1, champion=today))
    registration = register(again, workspace)
    assert registration.text == f"{MODEL} version 3: promoted; champion is version 3"
    assert aliases(client) == {"champion": "3", "challenger": "3"}
    assert client.get_model_version(MODEL, "3").tags["compared_with"] == "1"
    assert register(again, workspace).reused
    assert fetch_champion(recipe, again.digest, workspace) == champion


def test_a_repeated_run_compares_with_what_its_encoder_beat(
    make_candidate: Make, workspace: Path, recipe: Recipe, champion: Champion
) -> None:
    candidate = make_candidate(1, champion=champion)
    register(candidate, workspace)
    found = fetch_champion(recipe, candidate.digest, workspace)
    assert found == champion
    first = make_candidate(0)
    assert fetch_champion(recipe, "of a third", workspace).version == "2"
    assert champion.digest == first.digest


def test_a_champion_whose_compared_version_was_deleted_is_compared_with_none(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    recipe: Recipe,
    champion: Champion,
    caplog: pytest.LogCaptureFixture,
) -> None:
    candidate = make_candidate(1, champion=champion)
    register(candidate, workspace)
    client.delete_model_version(MODEL, "1")
    assert fetch_champion(recipe, candidate.digest, workspace) is None
    assert "version 1, which it was compared with, was deleted" in caplog.text
    assert register(make_candidate(1), workspace).promoted


def test_the_next_run_settles_a_version_of_a_killed_run(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make_candidate(1, champion=champion)
    with monkeypatch.context() as killed:
        killed.setattr(registration_module, "_settle", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            register(candidate, workspace)
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    registration = register(candidate, workspace)
    assert registration.promoted
    assert (registration.version, registration.reused) == ("2", False)
    assert versions(client) == ["1", "2"]
    assert aliases(client) == {"champion": "2", "challenger": "2"}
    assert previous_champions(client, "2") == ["1"]


def test_only_unfinished_runs_of_this_workspace_and_model_are_marked_killed(
    make_candidate: Make, workspace: Path, client: Any
) -> None:
    experiment = client.create_experiment("en-trades", (workspace / "artifacts").as_uri())

    def create_run(**tags: str) -> str:
        return str(client.create_run(experiment, tags=tags).info.run_id)

    owner = workspace_id(workspace)
    killed = create_run(workspace=owner, registered_model=MODEL)
    others = [
        create_run(),  # a user's own
        create_run(workspace="another", registered_model=MODEL),
        create_run(workspace=owner, registered_model="another"),
    ]
    registration = register(make_candidate(0), workspace)
    states = {run.info.run_id: run.info.status for run in client.search_runs([experiment])}
    assert states == {
        killed: "KILLED",
        registration.run_id: "FINISHED",
        **dict.fromkeys(others, "RUNNING"),
    }
    tags = client.get_run(registration.run_id).data.tags
    assert (tags["workspace"], tags["registered_model"]) == (owner, MODEL)


def test_a_version_of_a_killed_run_gets_its_description_by_the_next(
    make_candidate: Make, workspace: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "update_model_version", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            register(make_candidate(0), workspace)
    assert not client.get_model_version(MODEL, "1").description
    assert register(make_candidate(0), workspace).version == "1"
    assert client.get_model_version(MODEL, "1").description == "Promoted:\n- Better than its base."


def test_a_run_killed_after_moving_the_alias_stays_promoted(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    champion: Champion,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make_candidate(1, champion=champion)

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == "promotion_status":
            sys.exit("killed")
        original(self, name, version, key, value)

    original = type(client).set_model_version_tag
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_model_version_tag", set_tag)
        with pytest.raises(SystemExit):
            register(candidate, workspace)
    assert fetch_champion(recipe, candidate.digest, workspace) == champion
    registration = register(candidate, workspace)
    assert (registration.version, registration.outcome) == ("2", "promoted")
    assert previous_champions(client, "2") == ["1"]


def test_the_champion_is_compared_before_the_alias_is_set(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Another workspace, on a server without a lock, promotes its encoder meanwhile."""
    register(make_candidate(2, promote=False, champion=champion), workspace)
    original = type(client).set_model_version_tag

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        original(self, name, version, key, value)
        if key == "champion_history":
            client.set_registered_model_alias(MODEL, "champion", "2")

    candidate = make_candidate(1, champion=champion)
    with monkeypatch.context() as raced:
        raced.setattr(type(client), "set_model_version_tag", set_tag)
        with pytest.raises(ServiceError, match=r"from version 1 to version 2 .*: run again"):
            register(candidate, workspace)
    assert aliases(client)["champion"] == "2"
    assert register(candidate, workspace).outcome == "superseded by version 2"


@pytest.mark.parametrize("step", ["log_run", "add_version"])
def test_an_encoder_that_another_workspace_registered_meanwhile_is_not_registered_again(
    step: str,
    make_candidate: Make,
    workspace: Path,
    tmp_path: Path,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate, original = make_candidate(0), getattr(run_logging, step)
    other = tmp_path / "other"
    (other / "locks").mkdir(parents=True)

    def come_second(*arguments: Any) -> Any:
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(run_logging, step, original)
            meanwhile.setattr("tasks.registry.client.exclusive_lock", lambda _: nullcontext())
            assert register(candidate, other).promoted
        return original(*arguments)

    monkeypatch.setattr(run_logging, step, come_second)
    registration = register(candidate, workspace)
    assert (registration.reused, registration.outcome) == (True, "promoted")
    [version] = client.search_model_versions("")
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    [experiment] = client.search_experiments(filter_string="name = 'en-trades'")
    [run] = client.search_runs([experiment.experiment_id])
    [encoder] = client.search_logged_models([experiment.experiment_id])
    assert run.info.run_id == version.run_id == encoder.source_run_id
    assert previous_champions(client, "1") == []


def test_a_workspace_has_one_id_also_after_it_is_moved(workspace: Path, tmp_path: Path) -> None:
    (tmp_path / "another" / "locks").mkdir(parents=True)
    with ThreadPoolExecutor(8) as threads:
        ids = set(threads.map(workspace_id, [workspace] * 16))
    assert len(ids) == 1
    assert ids != {workspace_id(tmp_path / "another")}
    moved = workspace.rename(workspace.with_name("moved"))
    assert workspace_id(moved) in ids
