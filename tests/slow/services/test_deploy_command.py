"""`mirror deploy` with a real server."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from tests.fixtures.flows import run_in_process

pytestmark = pytest.mark.slow
POOL = "deploy-test"
TAG = "deploy-test-team"
WEEKLY = {"slug": "weekly", "cron": "0 3 * * 1", "timezone": "UTC"}
DAILY = {"slug": "daily", "interval": 86_400}


def deployment(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "entrypoint": "flows.run_recipe.run_recipe",
        "work_pool": {"name": POOL},
        "tags": [TAG],
        "parameters": {"recipe": name},
        "schedules": [WEEKLY],
        "pull": [],
        **changes,
    }


class Deployer:
    """Run `mirror deploy` with a file on a server, and check the server's deployments."""

    def __init__(
        self, folder: Path, api: str, ask: Callable[..., Any], patch: pytest.MonkeyPatch
    ) -> None:
        self.file, self.ask, self.patch = folder / "prefect.yaml", ask, patch
        self.api: str | None = api

    def write(self, *deployments: dict[str, Any]) -> None:
        self.file.write_text(yaml.safe_dump({"name": TAG, "deployments": list(deployments)}))

    def deploy(self, *arguments: str, answer: str = "", code: int = 0) -> tuple[list[str], str]:
        self.patch.setattr(sys, "stdin", io.StringIO(answer))
        home = {"MIRROR_HOME": str(self.file.parent)}
        command = ["deploy", "--file", str(self.file), *arguments]
        done = run_in_process(command, self.api, **home)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout.splitlines(), done.stderr

    def found(self) -> dict[str, dict[str, Any]]:
        return {made["name"]: made for made in self.ask("deployments/filter", {})}

    def slugs(self, name: str) -> set[str]:
        return {schedule["slug"] for schedule in self.found()[name]["schedules"]}


@pytest.fixture
def deployer(
    tmp_path: Path,
    prefect_api: str,
    ask_api: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Deployer]:
    monkeypatch.chdir(tmp_path)
    made = Deployer(tmp_path, prefect_api, ask_api, monkeypatch)
    with suppress(HTTPError):
        made.ask("work_pools/", {"name": POOL, "type": "process"})
    yield made
    for one in made.found().values():
        made.ask(f"deployments/{one['id']}", None, "DELETE")


def test_what_is_taken_out_of_the_file_goes_from_the_server(deployer: Deployer) -> None:
    two = deployment("a", schedules=[WEEKLY, DAILY])
    deployer.write(two, deployment("b"))
    lines, _ = deployer.deploy("--yes")
    assert lines == ["+ run-recipe/a", "+ run-recipe/b"]
    assert deployer.slugs("a") == {"weekly", "daily"}
    assert deployer.found()["a"]["parameters"] == {"recipe": "a"}

    _, message = deployer.deploy("--yes")
    assert "the server has what prefect.yaml says" in message

    deployer.write(deployment("a", schedules=[DAILY], description="other words"))
    lines, _ = deployer.deploy("--yes")
    assert lines[0].startswith("~ run-recipe/a: description ")
    assert lines[0].endswith(" → other words")
    assert lines[1:] == ["- run-recipe/a: schedule weekly", "- run-recipe/b"]
    assert list(deployer.found()) == ["a"]
    assert deployer.slugs("a") == {"daily"}


def test_nothing_is_changed_without_a_yes(deployer: Deployer) -> None:
    deployer.write(deployment("a"))
    for answer, expected in (
        ("n\n", "nothing was changed"),
        ("", "ask for confirmation: add --yes"),
    ):
        lines, message = deployer.deploy(answer=answer, code=1)
        assert lines == ["+ run-recipe/a"] and expected in message
        assert deployer.found() == {}
    deployer.deploy(answer="y\n")
    assert list(deployer.found()) == ["a"]


def test_the_last_schedule_and_a_limit_can_be_taken_out(deployer: Deployer) -> None:
    deployer.write(deployment("a", concurrency_limit={"limit": 1, "collision_strategy": "ENQUEUE"}))
    deployer.deploy("--yes")
    deployer.write(deployment("a", schedules=[]))
    lines, _ = deployer.deploy("--yes")
    assert "- run-recipe/a: schedule weekly" in lines
    assert "~ run-recipe/a: concurrency_limit 1 → null" in lines
    found = deployer.found()["a"]
    assert found["schedules"] == []
    assert found["global_concurrency_limit"] is None


def test_a_schedule_that_was_paused_by_hand_is_shown_and_set_again(deployer: Deployer) -> None:
    deployer.write(deployment("a"))
    deployer.deploy("--yes")
    found = deployer.found()["a"]
    place = f"deployments/{found['id']}/schedules/{found['schedules'][0]['id']}"
    deployer.ask(place, {"active": False}, "PATCH")
    lines, _ = deployer.deploy("--yes")
    assert lines == ["~ run-recipe/a: schedule weekly: active false → true"]
    assert deployer.found()["a"]["schedules"][0]["active"] is True


def test_deployments_without_the_tag_are_not_changed(deployer: Deployer) -> None:
    deployer.write(deployment("a"), deployment("b"))
    deployer.deploy("--yes")
    for name in ("a", "b"):
        place = f"deployments/{deployer.found()[name]['id']}"
        deployer.ask(place, {"tags": ["theirs"]}, "PATCH")
    deployer.write(deployment("a", description="ours"))
    assert "without the tag" in deployer.deploy("--yes", code=1)[1]
    deployer.write(deployment("c"))
    assert deployer.deploy("--yes")[0] == ["+ run-recipe/c"]
    assert set(deployer.found()) == {"a", "b", "c"}


def test_a_missing_pool_is_an_error_before_any_change(deployer: Deployer) -> None:
    deployer.write(deployment("a", work_pool={"name": "nowhere"}))
    assert "no work pool nowhere" in deployer.deploy("--yes", code=1)[1]
    assert deployer.found() == {}


def test_without_a_server_it_says_how_to_have_one(deployer: Deployer) -> None:
    deployer.write(deployment("a"))
    deployer.api = None
    assert "mirror up" in deployer.deploy(code=1)[1]
    deployer.api = "http://127.0.0.1:9/api"
    assert "does not answer" in deployer.deploy(code=1)[1]
    deployer.file.write_text("deployments: 5\n")
    assert "name: missing" in deployer.deploy(code=1)[1]
