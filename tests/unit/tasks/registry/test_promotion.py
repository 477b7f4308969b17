"""Promotion and rollback: recorded with who, when and why."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import InputError
from tasks import registry
from tasks.registry import promotion
from tasks.registry.candidate import Champion, RegistrationCandidate
from tasks.registry.champion import MAX_CHANGES, ChampionHistory, change_now
from tasks.registry.history import read_history
from tasks.registry.promotion import advise_on_index, promote, roll_back

MODEL = "mirror-en-trades"

AddVersion = Callable[..., str]


@pytest.fixture
def add_version(client: Any, tmp_path: Path) -> AddVersion:
    """Register a version without an encoder, which takes seconds."""

    def add(status: str | None, **tags: str) -> str:
        if not client.search_registered_models():
            client.create_registered_model(MODEL)
        number = len(client.search_model_versions(f"name = '{MODEL}'")) + 1
        tags = {"encoder_digest": f"e{number}", **tags}
        if status:
            tags["promotion_status"] = status
        version = client.create_model_version(MODEL, str(tmp_path), tags=tags)
        client.set_registered_model_alias(MODEL, "challenger", str(version.version))
        return str(version.version)

    return add


@pytest.fixture
def three(add_version: AddVersion, workspace: Path) -> None:
    """Three versions, each champion in its turn."""
    for compared in ({}, {"compared_with": "1"}, {"compared_with": "2"}):
        add_version("pending approval", **compared)
        promote(MODEL, None, workspace)


def aliases(client: Any) -> dict[str, str]:
    found = client.get_registered_model(MODEL).aliases
    return {name: str(number) for name, number in found.items()}


def champion(client: Any) -> str:
    return aliases(client)["champion"]


def tags(client: Any, number: str) -> dict[str, str]:
    return dict(client.get_model_version(MODEL, number).tags)


def history(client: Any, number: str) -> ChampionHistory:
    return ChampionHistory.of(client.get_model_version(MODEL, number))


def actions(client: Any, number: str) -> list[str]:
    return [change.action for change in history(client, number).changes]


def previous(client: Any, number: str) -> tuple[str, ...]:
    return history(client, number).previous


def test_a_promotion_records_who_when_and_why(
    add_version: AddVersion, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    number = add_version("pending approval")
    result = promote(MODEL, None, workspace, reason="looked at it")
    assert (result.version, result.previous) == (number, None)
    assert result.text == f"{MODEL} version 1: champion"
    assert champion(client) == "1"
    assert tags(client, "1")["promotion_status"] == "promoted"
    [change] = history(client, "1").changes
    assert (change.action, change.by, change.reason, change.objection) == (
        "promoted",
        "ann@desk",
        "looked at it",
        "",
    )
    time = datetime.fromisoformat(change.at)
    assert time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - time) < timedelta(minutes=5)


def test_a_promotion_records_the_previous_champions(three: None, client: Any) -> None:
    assert champion(client) == "3"
    assert [previous(client, number) for number in "123"] == [(), ("1",), ("1", "2")]


def test_the_history_is_one_json_tag(three: None, client: Any) -> None:
    content = json.loads(tags(client, "2")["champion_history"])
    assert content["previous"] == ["1"]
    assert [change["action"] for change in content["changes"]] == ["promoted"]
    assert set(tags(client, "2")) == {
        "champion_history",
        "compared_with",
        "encoder_digest",
        "promotion_status",
    }


def test_the_longest_history_fits_into_a_tag(three: None, client: Any) -> None:
    change = change_now("promoted", "u" * 60 + "@" + "h" * 60, "r" * 1_000, "o" * 200)
    version = client.get_model_version(MODEL, "2")
    ChampionHistory(tuple(map(str, range(2_000))), (change,) * 200).write(client, version)
    assert len(tags(client, "2")["champion_history"]) < 100_000
    assert len(history(client, "2").changes) == MAX_CHANGES
    assert previous(client, "2")[-1] == "1999"


def test_promoting_the_champion_changes_nothing_and_says_so(
    three: None, client: Any, workspace: Path
) -> None:
    before = tags(client, "3")
    result = promote(MODEL, "3", workspace, reason="again")
    assert result.text == f"{MODEL} version 3 is champion already: nothing to do"
    assert tags(client, "3") == before


@pytest.mark.parametrize(
    ("status", "objection"),
    [
        ("not promoted", "the gate refused version 4"),
        ("superseded by version 3", "version 4 was superseded by version 3"),
        ("rolled back", "version 4 was rolled back"),
        (None, "the run that registered version 4 has not ended"),
    ],
)
def test_an_objection_needs_force(
    three: None,
    add_version: AddVersion,
    client: Any,
    workspace: Path,
    status: str | None,
    objection: str,
) -> None:
    add_version(status, compared_with="3")
    with pytest.raises(InputError, match=f"{objection}: give --force"):
        promote(MODEL, None, workspace)
    assert champion(client) == "3"
    assert not actions(client, "4")
    promote(MODEL, "4", workspace, reason="we need it", force=True)
    assert champion(client) == "4"
    [change] = history(client, "4").changes
    assert (change.objection, change.reason) == (objection, "we need it")
    [line] = read_history(MODEL)[3].status_lines
    assert re.fullmatch(rf"promoted by .+@.+, [-0-9 :]+, although {objection}: we need it", line)


def test_an_approval_of_a_comparison_with_a_former_champion_needs_force(
    three: None, add_version: AddVersion, client: Any, workspace: Path
) -> None:
    add_version("pending approval", compared_with="2")
    refused = "version 4 was compared with version 2, and not with version 3: give --force"
    with pytest.raises(InputError, match=refused):
        promote(MODEL, "4", workspace)
    assert champion(client) == "3"


def test_an_earlier_champion_is_restored_and_not_promoted(
    three: None, client: Any, workspace: Path
) -> None:
    with pytest.raises(InputError, match="was champion before: use `mirror rollback --to 1`"):
        promote(MODEL, "1", workspace)
    assert champion(client) == "3"


@pytest.mark.parametrize(
    ("version", "complaint"),
    [("9", "has no version 9: `mirror history"), (None, "has no challenger")],
)
def test_a_missing_version_is_named(
    client: Any, tmp_path: Path, workspace: Path, version: str | None, complaint: str
) -> None:
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(tmp_path))
    with pytest.raises(InputError, match=complaint):
        promote(MODEL, version, workspace)


@pytest.mark.parametrize("name", ["../up", "a' or name like '%", "", "Upper", "a/b", "x~moving"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda name, home: promote(name, None, home),
        lambda name, home: roll_back(name, home),
        lambda name, home: read_history(name),
    ],
    ids=["promote", "rollback", "history"],
)
def test_an_invalid_name_reaches_neither_paths_nor_queries(
    name: str, ask: Callable[[str, Path], Any], workspace: Path, tracking: str
) -> None:
    with pytest.raises(InputError, match="is not a model name"):
        ask(name, workspace)
    assert not list((workspace / "locks").iterdir())


def test_a_missing_model_is_named(workspace: Path, tracking: str) -> None:
    for ask in (
        lambda: promote("mirror-none", None, workspace),
        lambda: roll_back("mirror-none", workspace),
        lambda: read_history("mirror-none"),
    ):
        with pytest.raises(InputError, match="has no version of mirror-none"):
            ask()


def test_a_reason_that_is_too_long_is_refused(three: None, client: Any, workspace: Path) -> None:
    with pytest.raises(InputError, match="--reason has 1,001 characters"):
        roll_back(MODEL, workspace, reason="x" * 1_001)
    assert champion(client) == "3"


def test_two_rollbacks_undo_two_promotions(three: None, client: Any, workspace: Path) -> None:
    result = roll_back(MODEL, workspace, reason="slow answers")
    assert result.text == f"{MODEL}: back from version 3 to version 2"
    assert champion(client) == "2"
    assert tags(client, "3")["promotion_status"] == "rolled back"
    assert [(change.action, change.reason) for change in history(client, "3").changes] == [
        ("promoted", ""),
        ("rolled back", "slow answers"),
    ]
    assert actions(client, "2") == ["promoted", "restored"]
    assert roll_back(MODEL, workspace).version == "1"
    assert champion(client) == "1"
    with pytest.raises(InputError, match="version 1 is its first champion: there is no earlier"):
        roll_back(MODEL, workspace)
    assert champion(client) == "1"
    assert aliases(client)["challenger"] == "3"


def test_a_version_promoted_twice_is_rolled_back_twice(
    three: None, client: Any, workspace: Path
) -> None:
    promote(MODEL, "1", workspace, force=True)
    champions = [champion(client)]
    for _ in range(3):
        roll_back(MODEL, workspace)
        champions.append(champion(client))
    assert champions == ["1", "3", "2", "1"]
    assert tags(client, "1")["promotion_status"] == "promoted"
    assert previous(client, "1") == ()
    with pytest.raises(InputError, match="there is no earlier one"):
        roll_back(MODEL, workspace)


def test_a_promotion_after_a_rollback_follows_the_restored_version(
    three: None, add_version: AddVersion, client: Any, workspace: Path
) -> None:
    roll_back(MODEL, workspace)
    add_version("pending approval", compared_with="2")
    promote(MODEL, "4", workspace)
    assert previous(client, "4") == ("1", "2")
    assert roll_back(MODEL, workspace).version == "2"
    assert roll_back(MODEL, workspace).version == "1"


def test_to_restores_an_earlier_champion(three: None, client: Any, workspace: Path) -> None:
    assert roll_back(MODEL, workspace, to="1").previous == "3"
    assert champion(client) == "1"
    assert [tags(client, number)["promotion_status"] for number in "123"] == [
        "promoted",
        "rolled back",
        "rolled back",
    ]
    with pytest.raises(InputError, match="version 3 was not champion before version 1"):
        roll_back(MODEL, workspace, to="3")
    assert roll_back(MODEL, workspace, to="1").text.endswith("is champion: nothing to do")


def test_a_deleted_version_is_not_restored(three: None, client: Any, workspace: Path) -> None:
    client.delete_model_version(MODEL, "2")
    message = "version 2, champion before version 3, was deleted: --to 1 restores one that exists"
    with pytest.raises(InputError, match=message):
        roll_back(MODEL, workspace)
    assert champion(client) == "3"
    assert tags(client, "3")["promotion_status"] == "promoted"
    roll_back(MODEL, workspace, to="1")
    assert champion(client) == "1"


def test_a_model_without_a_champion_cannot_be_rolled_back(
    add_version: AddVersion, workspace: Path
) -> None:
    add_version("not promoted")
    with pytest.raises(
        InputError, match=rf"{MODEL} has no champion.*`mirror promote {MODEL} VERSION`.*--force"
    ):
        roll_back(MODEL, workspace)


def test_a_rollback_killed_before_the_alias_moves_can_be_repeated(
    three: None, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_registered_model_alias", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            roll_back(MODEL, workspace, reason="slow")
    assert champion(client) == "3"
    assert roll_back(MODEL, workspace, reason="slow").version == "2"
    assert actions(client, "3") == ["promoted", "rolled back"]
    assert previous(client, "2") == ("1",)
    assert roll_back(MODEL, workspace).version == "1"


def test_a_promotion_killed_after_the_alias_moved_is_completed_by_repeating_it(
    add_version: AddVersion, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version("pending approval")
    original = type(client).set_model_version_tag

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == "promotion_status":
            sys.exit("killed")
        original(self, name, version, key, value)

    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_model_version_tag", set_tag)
        with pytest.raises(SystemExit):
            promote(MODEL, "1", workspace)
    assert champion(client) == "1"
    assert "nothing to do" in promote(MODEL, "1", workspace).text
    assert tags(client, "1")["promotion_status"] == "promoted"


def test_a_rollback_is_refused_if_the_champion_changed_meanwhile(
    three: None, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = promotion.registry_lock

    @contextmanager
    def lock_after_another_rollback(name: str, workspace: Path) -> Any:
        client.set_registered_model_alias(MODEL, "champion", "2")
        with original(name, workspace) as store:
            yield store

    monkeypatch.setattr(promotion, "registry_lock", lock_after_another_rollback)
    message = "another command has just made version 2 champion in place of 3: see"
    with pytest.raises(InputError, match=message):
        roll_back(MODEL, workspace)
    assert champion(client) == "2"
    assert actions(client, "2") == ["promoted"]


def test_the_gate_does_not_promote_a_rolled_back_encoder_again(
    make_candidate: Callable[..., RegistrationCandidate], client: Any, workspace: Path
) -> None:
    register = registry.register.fn
    register(make_candidate(0), workspace)
    compared = Champion(str(make_candidate(0).encoder), "c" * 64, version="1")
    candidate = make_candidate(1, champion=compared)
    assert register(candidate, workspace).promoted
    assert [change.by for change in history(client, "2").changes] == ["the gate"]
    roll_back(MODEL, workspace)
    again = register(candidate, workspace)
    assert (again.version, again.reused, again.promoted) == ("2", True, False)
    # Compared with another champion, it is another version of the same encoder.
    other = register(make_candidate(1, champion=replace(compared, digest="d" * 64)), workspace)
    assert (other.version, other.promoted, other.champion) == ("3", False, "1")
    assert other.outcome == "pending approval: version 2, the same encoder, was rolled back"
    assert promote(MODEL, None, workspace).text.endswith("version 3: champion after version 1")


def model_version(number: str, **tags: str) -> Any:
    from mlflow.entities.model_registry import ModelVersion, ModelVersionTag

    tag_list = [ModelVersionTag(key, value) for key, value in tags.items()]
    return ModelVersion(MODEL, number, 0, tags=tag_list)


@pytest.mark.parametrize("verdict", ["keep", "rotate", "re-embed"])
def test_the_index_advice_quotes_the_versions_report(verdict: str) -> None:
    new = model_version("3", compatibility=verdict, compared_with="2", recipe="en-trades")
    advice = advise_on_index(model_version("2"), new)
    assert advice == (
        f"An index of version 2's embeddings: {verdict}. Report and map are in compatibility/ of "
        "version 3's run."
    )


@pytest.mark.parametrize(
    ("before", "tags"),
    [
        ("2", {}),
        ("2", {"compared_with": "2"}),
        ("4", {"compatibility": "keep", "compared_with": "2"}),
        ("2", {"compatibility": "fine", "compared_with": "2"}),
    ],
    ids=["never compared", "the gate refused it", "another champion's", "unknown verdict"],
)
def test_without_a_report_the_index_advice_is_a_command(before: str, tags: dict[str, str]) -> None:
    advice = advise_on_index(model_version(before), model_version("3", recipe="en-trades", **tags))
    assert advice.endswith(
        f"mirror compare models:/mirror-en-trades/{before} models:/mirror-en-trades/3 "
        "--recipe en-trades --save-map map.npz"
    )


@pytest.mark.parametrize("recipe", ["", "x; rm -rf .", "\x1b[31mred", "--out", "../x"])
def test_an_invalid_recipe_name_is_not_put_into_the_command(recipe: str) -> None:
    advice = advise_on_index(model_version("2"), model_version("3", recipe=recipe))
    assert advice.endswith("models:/mirror-en-trades/3 --texts FILE --save-map map.npz")


def test_an_index_of_the_same_encoder_can_stay() -> None:
    advice = advise_on_index(
        model_version("2", encoder_digest="a"), model_version("3", encoder_digest="a")
    )
    assert advice == "It is the same encoder as version 2: an index can stay as it is."
