"""The registry: one champion, moved only by the gate, whoever else registers."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.paths import CHECKOUT
from mirror.recipe import Recipe
from mirror.run_context import RunContext
from mirror.store import Store
from tasks import registry
from tasks.registry.candidate import Champion, Registration, RegistrationCandidate

MODEL = "mirror-en-trades"
REGISTER = """
import pickle, sys
from pathlib import Path
from tasks.registry import register_encoder
candidate, workspace = pickle.loads(Path(sys.argv[1]).read_bytes())
print("ready", flush=True)
sys.stdin.readline()
print(register_encoder.fn(candidate, workspace).outcome)
"""

KILLED = """
import os, pickle, sys
from pathlib import Path
import mlflow
from tasks.registry import register_encoder
candidate, workspace = pickle.loads(Path(sys.argv[1]).read_bytes())
mlflow.log_params = lambda params: os._exit(9)
register_encoder.fn(candidate, workspace)
"""

register = registry.register_encoder.fn


def champion_against(recipe: Recipe, digest: str, workspace: Path) -> Champion | None:
    """The champion that a run of the recipe compares the encoder of that digest with."""
    run = RunContext(recipe, Store(workspace))
    return registry.find_champion.fn(run, EncoderRef("nowhere", digest))


Make = Callable[..., RegistrationCandidate]


@pytest.fixture
def first(make_candidate: Make, workspace: Path, tracking: str) -> Registration:
    """Version 1, the champion."""
    return register(make_candidate(0), workspace)


@pytest.fixture
def champion(first: Registration, recipe: Recipe, workspace: Path) -> Champion:
    """Version 1, to compare with."""
    found = champion_against(recipe, "of another encoder", workspace)
    assert found is not None
    return found


def aliases(client: Any) -> dict[str, str]:
    return {
        name: str(number) for name, number in client.get_registered_model(MODEL).aliases.items()
    }


def versions(client: Any) -> list[str]:
    return sorted(str(found.version) for found in client.search_model_versions(f"name='{MODEL}'"))


def test_the_first_good_encoder_is_champion(first: Registration, client: Any) -> None:
    assert first.promoted
    assert first.champion == "1"
    assert first.text == f"{MODEL} version 1: promoted; champion is version 1"
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    assert "previous_champion" not in client.get_model_version(MODEL, "1").tags


def test_what_is_measured_beside_the_scores_is_recorded(first: Registration, client: Any) -> None:
    recorded = client.get_run(first.run_id).data.metrics
    assert (recorded["base/likeness"], recorded["tuned/likeness"]) == (0.25, 0.5)
    assert recorded["base/likeness.alignment"] == 0.75
    assert recorded["tuned/likeness.alignment"] == 0.625


def test_a_refused_first_encoder_leaves_no_champion(
    make_candidate: Make, workspace: Path, client: Any
) -> None:
    registration = register(make_candidate(0, promote=False), workspace)
    assert registration.outcome == "not promoted"
    assert registration.champion is None
    assert registration.text.endswith("there is no champion yet")
    assert aliases(client) == {"challenger": "1"}


def test_what_passes_waits_for_a_person_where_the_recipe_wants_one(
    make_candidate: Make, workspace: Path, client: Any
) -> None:
    candidate = make_candidate(0)
    evaluation = candidate.recipe.evaluation
    gate = evaluation.gate.model_copy(update={"require_approval": True})
    recipe = candidate.recipe.model_copy(
        update={"evaluation": evaluation.model_copy(update={"gate": gate})}
    )
    candidate = replace(candidate, results=replace(candidate.results, recipe=recipe))
    registration = register(candidate, workspace)
    assert registration.outcome == "awaits approval"
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
    assert (tags["verdict"], tags["settled"]) == ("refuse", "not promoted")
    assert tags["compared_with"] == "1"
    assert "previous_champion" not in tags


def test_a_promotion_remembers_the_champion_before(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion
) -> None:
    registration = register(make_candidate(1, champion=champion), workspace)
    assert registration.promoted
    assert aliases(client) == {"champion": "2", "challenger": "2"}
    assert client.get_model_version(MODEL, "2").tags["previous_champion"] == "1"


def test_a_comparison_with_a_former_champion_is_overtaken(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    registration = register(make_candidate(2, champion=champion), workspace)
    assert registration.outcome == "overtaken by version 2"
    assert not registration.promoted
    assert registration.text == (
        f"{MODEL} version 3: overtaken by version 2; run again to be compared with it; "
        "champion is version 2"
    )
    assert aliases(client) == {"champion": "2", "challenger": "3"}
    # Taken back by hand: today's champion is the one that it was compared with, after all.
    client.set_registered_model_alias(MODEL, "champion", "1")
    assert register(make_candidate(2, champion=champion), workspace).promoted


def test_a_comparison_with_none_is_overtaken_by_the_first_champion(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    assert register(make_candidate(1), workspace).outcome == "overtaken by version 1"
    assert aliases(client)["champion"] == "1"


def test_the_overtaken_is_promoted_once_it_is_compared(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion, recipe: Recipe
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    register(make_candidate(2, champion=champion), workspace)
    today = champion_against(recipe, make_candidate(2).digest, workspace)
    assert today is not None and today.version == "2"
    assert register(make_candidate(2, champion=today), workspace).promoted
    assert aliases(client) == {"champion": "4", "challenger": "4"}


def test_the_same_encoder_with_the_same_verdict_is_registered_once(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    again = register(make_candidate(0), workspace)
    assert again.reused and not first.reused
    assert (again.version, again.run_id) == ("1", first.run_id)
    assert versions(client) == ["1"]


def test_another_card_alone_is_not_another_encoder(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    candidate = make_candidate(0)
    (candidate.encoder / "README.md").write_text("reworded\n")
    assert register(candidate, workspace).reused
    assert versions(client) == ["1"]


def test_another_verdict_on_the_same_encoder_is_registered(
    make_candidate: Make, workspace: Path, client: Any, first: Registration
) -> None:
    assert not register(make_candidate(0, promote=False), workspace).reused
    assert versions(client) == ["1", "2"]
    assert aliases(client) == {"champion": "1", "challenger": "2"}


def measured_anew(candidate: RegistrationCandidate) -> RegistrationCandidate:
    """The same encoder, as it does under other benchmarks or other settings of the gate."""
    verdict = replace(candidate.verdict, reasons=("Better than its base, measured anew.",))
    return replace(candidate, verdict=verdict)


def test_a_champion_that_is_measured_anew_is_not_overtaken_by_itself(
    make_candidate: Make, workspace: Path, client: Any, recipe: Recipe, champion: Champion
) -> None:
    register(make_candidate(1, champion=champion), workspace)
    today = champion_against(recipe, make_candidate(1).digest, workspace)
    anew = measured_anew(make_candidate(1, champion=today))
    registration = register(anew, workspace)
    assert registration.text == f"{MODEL} version 3: promoted; champion is version 3"
    assert aliases(client) == {"champion": "3", "challenger": "3"}
    assert client.get_model_version(MODEL, "3").tags["compared_with"] == "1"
    assert register(anew, workspace).reused
    assert champion_against(recipe, anew.digest, workspace) == champion


def test_a_repeated_run_compares_with_what_its_encoder_beat(
    make_candidate: Make, workspace: Path, recipe: Recipe, champion: Champion
) -> None:
    candidate = make_candidate(1, champion=champion)
    register(candidate, workspace)
    found = champion_against(recipe, candidate.digest, workspace)
    assert found == champion
    first = make_candidate(0)
    assert champion_against(recipe, "of a third", workspace).version == "2"
    assert champion.digest == first.digest


def test_a_repeated_first_run_compares_with_none(
    make_candidate: Make, workspace: Path, recipe: Recipe, first: Registration
) -> None:
    digest = make_candidate(0).digest
    assert champion_against(recipe, digest, workspace) is None


def test_a_champion_whose_rival_was_deleted_is_compared_with_none(
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
    assert champion_against(recipe, candidate.digest, workspace) is None
    assert "version 1, which it was compared with, was deleted" in caplog.text
    assert register(make_candidate(1), workspace).promoted


def test_what_a_killed_run_left_unsettled_is_settled_by_the_next(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    champion: Champion,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make_candidate(1, champion=champion)
    with monkeypatch.context() as killed:
        killed.setattr(registry, "_move_aliases", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            register(candidate, workspace)
    assert aliases(client) == {"champion": "1", "challenger": "1"}
    registration = register(candidate, workspace)
    assert registration.promoted
    assert (registration.version, registration.reused) == ("2", False)
    assert versions(client) == ["1", "2"]
    assert aliases(client) == {"champion": "2", "challenger": "2"}
    assert client.get_model_version(MODEL, "2").tags["previous_champion"] == "1"


@pytest.mark.slow
def test_a_run_that_was_killed_while_recording_is_ended_by_the_next(
    make_candidate: Make, workspace: Path, client: Any, tmp_path: Path
) -> None:
    content = tmp_path / "killed.pickle"
    content.write_bytes(pickle.dumps((make_candidate(0), workspace)))
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    killed = subprocess.run([sys.executable, "-c", KILLED, str(content)], env=environment)
    assert killed.returncode == 9
    experiment = client.get_experiment_by_name("en-trades").experiment_id
    [left] = client.search_runs([experiment])
    assert left.info.status == "RUNNING"
    ours = {"workspace": left.data.tags["workspace"]}
    others = [
        client.create_run(experiment, tags=tags).info.run_id
        for tags in (
            {},  # a user's own
            {"workspace": "another", "registered_model": MODEL},
            ours | {"registered_model": "another"},
        )
    ]
    registration = register(make_candidate(0), workspace)
    states = {run.info.run_id: run.info.status for run in client.search_runs([experiment])}
    assert states == {
        left.info.run_id: "KILLED",
        registration.run_id: "FINISHED",
        **dict.fromkeys(others, "RUNNING"),
    }


def test_a_version_gets_its_verdict_in_words_whenever_its_run_was_killed(
    make_candidate: Make, workspace: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "update_model_version", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            register(make_candidate(0), workspace)
    assert not client.get_model_version(MODEL, "1").description
    assert register(make_candidate(0), workspace).version == "1"
    assert client.get_model_version(MODEL, "1").description == "Promoted:\n- Better than its base."


def test_a_run_killed_after_its_promotion_stays_promoted(
    make_candidate: Make,
    workspace: Path,
    client: Any,
    champion: Champion,
    recipe: Recipe,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    candidate = make_candidate(1, champion=champion)

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == "settled":
            sys.exit("killed")
        whole(self, name, version, key, value)

    whole = type(client).set_model_version_tag
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_model_version_tag", set_tag)
        with pytest.raises(SystemExit):
            register(candidate, workspace)
    assert champion_against(recipe, candidate.digest, workspace) == champion
    registration = register(candidate, workspace)
    assert (registration.version, registration.outcome) == ("2", "promoted")
    assert client.get_model_version(MODEL, "2").tags["previous_champion"] == "1"


@pytest.mark.slow
def test_two_processes_at_once_make_one_champion(
    make_candidate: Make, workspace: Path, client: Any, champion: Champion, tmp_path: Path
) -> None:
    processes = []
    for number in (1, 2):
        content = tmp_path / f"{number}.pickle"
        content.write_bytes(pickle.dumps((make_candidate(number, champion=champion), workspace)))
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", REGISTER, str(content)],
                env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    outcomes = [process.communicate(timeout=120)[0].strip() for process in processes]
    [winner] = [found for found in versions(client) if found == aliases(client)["champion"]]
    assert sorted(outcomes) == [f"overtaken by version {winner}", "promoted"]
    assert versions(client) == ["1", "2", "3"]
    assert client.get_model_version(MODEL, winner).tags["previous_champion"] == "1"
