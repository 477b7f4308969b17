"""A person's word on who is champion: kept with who, when and why, and undone by one command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mirror.errors import InputError
from mirror.paths import CHECKOUT
from tasks import registry
from tasks.registry.candidate import Champion, RegistrationCandidate
from tasks.registry.history import read_history
from tasks.registry.promotion import promote_version, roll_back
from tasks.registry.succession import previous_champions, read_moves

MODEL = "mirror-en-trades"
AT_ONCE = """
import sys, time
from contextlib import contextmanager
from pathlib import Path
from mlflow.tracking import MlflowClient
from mirror.errors import InputError
from tasks.registry import lock, promotion
workspace, kind, command = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if kind == "server":  # which has no file to lock
    lock.sqlite_file = lambda uri: None
set_alias = MlflowClient.set_registered_model_alias
def slowly(self, *alias):
    time.sleep(1)
    set_alias(self, *alias)
MlflowClient.set_registered_model_alias = slowly
alone = promotion._moving
@contextmanager
def after_go(*arguments):
    print("ready", flush=True)  # who is champion has been looked at
    sys.stdin.readline()
    with alone(*arguments) as both:
        yield both
promotion._moving = after_go
try:
    print(eval(command, {**vars(promotion), "workspace": workspace}).text)
except InputError as refused:
    print(refused)
"""

AddVersion = Callable[..., str]


@pytest.fixture
def add_version(client: Any, tmp_path: Path) -> AddVersion:
    """Registers a version as a run leaves it, without the seconds that an encoder takes."""

    def add(settled: str | None, **tags: str) -> str:
        if not client.search_registered_models():
            client.create_registered_model(MODEL)
        number = len(client.search_model_versions(f"name = '{MODEL}'")) + 1
        tags = {"encoder_digest": f"e{number}", **tags}
        if settled:
            tags["settled"] = settled
        made = client.create_model_version(MODEL, str(tmp_path), tags=tags)
        client.set_registered_model_alias(MODEL, "challenger", str(made.version))
        return str(made.version)

    return add


@pytest.fixture
def three(add_version: AddVersion, workspace: Path) -> None:
    """Three versions, each champion in its turn."""
    for compared in ({}, {"compared_with": "1"}, {"compared_with": "2"}):
        add_version("awaits approval", **compared)
        promote_version(MODEL, None, workspace)


def aliases(client: Any) -> dict[str, str]:
    found = client.get_registered_model(MODEL).aliases
    return {name: str(number) for name, number in found.items()}


def champion(client: Any) -> str:
    return aliases(client)["champion"]


def tags(client: Any, number: str) -> dict[str, str]:
    return dict(client.get_model_version(MODEL, number).tags)


def moves(client: Any, number: str) -> list[Any]:
    return list(read_moves(client.get_model_version(MODEL, number)))


def test_what_awaits_approval_is_promoted_with_who_when_and_why(
    add_version: AddVersion, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "ann")
    monkeypatch.setattr("socket.gethostname", lambda: "desk")
    number = add_version("awaits approval")
    moved = promote_version(MODEL, None, workspace, reason="looked at it")
    assert (moved.version, moved.before) == (number, None)
    assert moved.text == f"{MODEL} version 1: champion"
    assert champion(client) == "1"
    assert tags(client, "1")["settled"] == "promoted"
    [move] = moves(client, "1")
    assert (move.what, move.by, move.why, move.despite) == (
        "promoted",
        "ann@desk",
        "looked at it",
        "",
    )
    moment = datetime.fromisoformat(move.at)
    assert moment.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - moment) < timedelta(minutes=5)


def test_a_promotion_keeps_the_champion_before(three: None, client: Any) -> None:
    assert champion(client) == "3"
    assert "previous_champion" not in tags(client, "1")
    assert tags(client, "2")["previous_champion"] == "1"
    assert tags(client, "3")["previous_champion"] == "2"


def test_promoting_the_champion_changes_nothing_and_says_so(
    three: None, client: Any, workspace: Path
) -> None:
    before = tags(client, "3")
    moved = promote_version(MODEL, "3", workspace, reason="again")
    assert moved.text == f"{MODEL} version 3 is champion already: nothing to do"
    assert tags(client, "3") == before


@pytest.mark.parametrize(
    ("settled", "objection"),
    [
        ("not promoted", "the gate refused version 4"),
        ("overtaken by version 3", "version 4 was overtaken by version 3"),
        ("rolled back", "version 4 was rolled back"),
        (None, "the run that registered version 4 has not ended"),
    ],
)
def test_what_something_speaks_against_is_promoted_by_force_only(
    three: None,
    add_version: AddVersion,
    client: Any,
    workspace: Path,
    settled: str | None,
    objection: str,
) -> None:
    add_version(settled, compared_with="3")
    with pytest.raises(InputError, match=f"{objection}: give --force"):
        promote_version(MODEL, None, workspace)
    assert champion(client) == "3"
    assert not moves(client, "4")
    promote_version(MODEL, "4", workspace, reason="we need it", force=True)
    assert champion(client) == "4"
    [move] = moves(client, "4")
    assert (move.despite, move.why) == (objection, "we need it")
    shown = read_history(MODEL)[3].told
    assert re.fullmatch(rf"promoted by .+@.+, [-0-9 :]+, though {objection}: we need it", shown[0])
    assert len(shown) == 1


def test_what_waited_while_another_became_champion_is_overtaken(
    three: None, add_version: AddVersion, client: Any, workspace: Path
) -> None:
    add_version("awaits approval", compared_with="2")
    refused = "version 4 was compared with version 2, and not with version 3: give --force"
    with pytest.raises(InputError, match=refused):
        promote_version(MODEL, "4", workspace)
    assert champion(client) == "3"


def test_an_earlier_champion_is_gone_back_to_and_not_promoted(
    three: None, client: Any, workspace: Path
) -> None:
    with pytest.raises(InputError, match="version 1 was champion before, and `mirror rollback`"):
        promote_version(MODEL, "1", workspace)
    assert champion(client) == "3"


@pytest.mark.parametrize(
    ("version", "complaint"),
    [("9", "has no version 9: `mirror history"), (None, "has no challenger")],
)
def test_a_version_that_is_not_there_is_named(
    client: Any, tmp_path: Path, workspace: Path, version: str | None, complaint: str
) -> None:
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(tmp_path))
    with pytest.raises(InputError, match=complaint):
        promote_version(MODEL, version, workspace)


@pytest.mark.parametrize("name", ["../up", "a' or name like '%", "", "Upper", "a/b", "x~moving"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda name, home: promote_version(name, None, home),
        lambda name, home: roll_back(name, home),
        lambda name, home: read_history(name),
    ],
    ids=["promote", "rollback", "history"],
)
def test_a_name_that_no_recipe_gives_reaches_neither_paths_nor_queries(
    name: str, ask: Callable[[str, Path], Any], workspace: Path, tracking: str
) -> None:
    with pytest.raises(InputError, match="is no model's name"):
        ask(name, workspace)
    assert not list((workspace / "locks").iterdir())


def test_a_model_that_is_not_there_is_named(workspace: Path, tracking: str) -> None:
    for ask in (
        lambda: promote_version("mirror-none", None, workspace),
        lambda: roll_back("mirror-none", workspace),
        lambda: read_history("mirror-none"),
    ):
        with pytest.raises(InputError, match="has no version of mirror-none"):
            ask()


def test_a_reason_as_long_as_a_book_is_refused_before_anything(
    three: None, client: Any, workspace: Path
) -> None:
    with pytest.raises(InputError, match="--reason has 1,001 characters"):
        roll_back(MODEL, workspace, reason="x" * 1_001)
    assert champion(client) == "3"


def test_rolling_back_twice_goes_back_two_promotions(
    three: None, client: Any, workspace: Path
) -> None:
    moved = roll_back(MODEL, workspace, reason="slow answers")
    assert moved.text == f"{MODEL}: back from version 3 to version 2"
    assert champion(client) == "2"
    assert tags(client, "3")["settled"] == "rolled back"
    assert [(move.what, move.why) for move in moves(client, "3")] == [
        ("promoted", ""),
        ("rolled back", "slow answers"),
    ]
    assert [move.what for move in moves(client, "2")] == ["promoted", "restored"]
    assert roll_back(MODEL, workspace).version == "1"
    assert champion(client) == "1"
    with pytest.raises(InputError, match="version 1 is its first champion: there is none"):
        roll_back(MODEL, workspace)
    assert champion(client) == "1"
    assert aliases(client)["challenger"] == "3"


def test_a_version_promoted_twice_is_gone_back_from_twice(
    three: None, client: Any, workspace: Path
) -> None:
    promote_version(MODEL, "1", workspace, force=True)
    seen = [champion(client)]
    for _ in range(3):
        roll_back(MODEL, workspace)
        seen.append(champion(client))
    assert seen == ["1", "3", "2", "1"]
    assert tags(client, "1")["settled"] == "promoted"
    assert "previous_champion" not in tags(client, "1")
    with pytest.raises(InputError, match="there is none to go back to"):
        roll_back(MODEL, workspace)


def test_a_promotion_after_a_rollback_comes_after_the_restored(
    three: None, add_version: AddVersion, client: Any, workspace: Path
) -> None:
    roll_back(MODEL, workspace)
    add_version("awaits approval", compared_with="2")
    promote_version(MODEL, "4", workspace)
    assert tags(client, "4")["previous_champion"] == "2"
    assert roll_back(MODEL, workspace).version == "2"
    assert roll_back(MODEL, workspace).version == "1"


def test_to_goes_straight_to_an_earlier_champion(three: None, client: Any, workspace: Path) -> None:
    assert roll_back(MODEL, workspace, to="1").before == "3"
    assert champion(client) == "1"
    assert [tags(client, number)["settled"] for number in "123"] == [
        "promoted",
        "rolled back",
        "rolled back",
    ]
    with pytest.raises(InputError, match="version 3 was not champion before version 1"):
        roll_back(MODEL, workspace, to="3")
    assert roll_back(MODEL, workspace, to="1").text.endswith("is champion: nothing to do")


def test_a_deleted_version_is_not_gone_back_to(three: None, client: Any, workspace: Path) -> None:
    client.delete_model_version(MODEL, "2")
    message = "version 2, champion before version 3, was deleted: --to 1 goes to one that is there"
    with pytest.raises(InputError, match=message):
        roll_back(MODEL, workspace)
    assert champion(client) == "3"
    assert tags(client, "3")["settled"] == "promoted"
    roll_back(MODEL, workspace, to="1")
    assert champion(client) == "1"


def test_a_model_without_a_champion_has_nothing_to_go_back_from(
    add_version: AddVersion, workspace: Path
) -> None:
    add_version("not promoted")
    with pytest.raises(
        InputError, match=rf"{MODEL} has no champion.*`mirror promote {MODEL} VERSION`.*--force"
    ):
        roll_back(MODEL, workspace)


def test_a_line_from_before_lines_were_kept_is_followed(
    add_version: AddVersion, client: Any, workspace: Path
) -> None:
    add_version("promoted")
    add_version("promoted", previous_champion="1")
    add_version("promoted", previous_champion="2")
    client.set_registered_model_alias(MODEL, "champion", "3")
    assert previous_champions(client, client.get_model_version(MODEL, "3")) == ("1", "2")
    assert [roll_back(MODEL, workspace).version for _ in range(2)] == ["2", "1"]


def test_a_command_that_is_killed_before_the_alias_moves_is_given_again(
    three: None, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_registered_model_alias", lambda *_: sys.exit("killed"))
        with pytest.raises(SystemExit):
            roll_back(MODEL, workspace, reason="slow")
    assert champion(client) == "3"
    assert roll_back(MODEL, workspace, reason="slow").version == "2"
    assert [move.what for move in moves(client, "3")] == ["promoted", "rolled back"]
    assert json.loads(tags(client, "2")["champions_before"]) == ["1"]
    assert roll_back(MODEL, workspace).version == "1"


def test_a_promotion_that_is_killed_after_the_alias_has_moved_is_ended_by_the_same_command(
    add_version: AddVersion, client: Any, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_version("awaits approval")
    whole = type(client).set_model_version_tag

    def set_tag(self: Any, name: str, version: str, key: str, value: str) -> None:
        if key == "settled":
            sys.exit("killed")
        whole(self, name, version, key, value)

    with monkeypatch.context() as killed:
        killed.setattr(type(client), "set_model_version_tag", set_tag)
        with pytest.raises(SystemExit):
            promote_version(MODEL, "1", workspace)
    assert champion(client) == "1"
    assert "nothing to do" in promote_version(MODEL, "1", workspace).text
    assert tags(client, "1")["settled"] == "promoted"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["file", "server"])
def test_two_rollbacks_at_once_go_back_one_promotion(
    three: None, client: Any, tmp_path: Path, kind: str
) -> None:
    said = at_once(tmp_path, kind, ["roll_back(NAME, workspace)"] * 2)
    assert champion(client) == "2"
    done, refused = sorted(said, key=lambda text: "somebody" in text)
    assert done == f"{MODEL}: back from version 3 to version 2"
    assert "somebody has just made version 2 champion in place of 3: look at" in refused
    assert [move.what for move in moves(client, "3")] == ["promoted", "rolled back"]
    assert tags(client, "2")["settled"] == "promoted"
    assert not [found for found in client.search_registered_models() if "~" in found.name]


@pytest.mark.slow
def test_two_promotions_at_once_come_one_after_the_other(
    three: None, add_version: AddVersion, client: Any, tmp_path: Path
) -> None:
    for _ in range(2):
        add_version("not promoted")
    commands = [f"promote_version(NAME, '{number}', workspace, force=True)" for number in (4, 5)]
    at_once(tmp_path, "server", commands)
    last = champion(client)
    other = {"4": "5", "5": "4"}[last]
    assert previous_champions(client, client.get_model_version(MODEL, last)) == (
        "1",
        "2",
        "3",
        other,
    )


def at_once(folder: Path, kind: str, commands: list[str]) -> list[str]:
    """What processes say that are let go at one moment, each in a workspace of its own."""
    processes = []
    for number, command in enumerate(commands):
        home = folder / f"workspace-{number}"
        home.mkdir()
        call = command.replace("NAME", repr(MODEL))
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", AT_ONCE, str(home), kind, call],
                env=os.environ | {"PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(home)},
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
    return [process.communicate(timeout=200)[0].strip() for process in processes]


def test_the_gate_does_not_promote_again_what_was_rolled_back(
    make_candidate: Callable[..., RegistrationCandidate], client: Any, workspace: Path
) -> None:
    register = registry.register_encoder.fn
    register(make_candidate(0), workspace)
    beaten = Champion(str(make_candidate(0).encoder), "c" * 64, version="1")
    rolled = make_candidate(1, champion=beaten)
    assert register(rolled, workspace).promoted
    assert [move.by for move in moves(client, "2")] == ["the gate"]
    roll_back(MODEL, workspace)
    again = register(rolled, workspace)
    assert (again.version, again.reused, again.promoted) == ("2", True, False)
    # Judged beside another, it is another version of the same encoder.
    anew = register(make_candidate(1, champion=replace(beaten, digest="d" * 64)), workspace)
    assert (anew.version, anew.promoted, anew.champion) == ("3", False, "1")
    assert anew.outcome == "awaits approval: version 2, the same encoder, was rolled back"
    assert promote_version(MODEL, None, workspace).text.endswith(
        "version 3: champion after version 1"
    )
