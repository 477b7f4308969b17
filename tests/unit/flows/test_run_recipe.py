"""Start of a run from a terminal: without a server if every result can be reused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows import run_recipe as module
from mirror.errors import InputError, ServiceError
from mirror.reuse_only import NotMadeError, is_reuse_only
from tasks import preflight


class ServerStartedError(Exception):
    """Raised in place of starting a server."""


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No configured server, and none that starts."""

    @contextmanager
    def start() -> Iterator[None]:
        raise ServerStartedError
        yield

    monkeypatch.setattr(module, "temporary_api", start)
    monkeypatch.setattr(preflight, "check_run", lambda run: None)
    monkeypatch.delenv("MIRROR_NOTIFY", raising=False)
    with temporary_settings({PREFECT_API_URL: None}):
        yield


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """A recipe that was run before."""
    path = tmp_path / "runs" / "tiny" / "20260101.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    recipe = SimpleNamespace(name="tiny")
    return SimpleNamespace(workspace=tmp_path, recipe=recipe, request=("tiny", ""))


def flow_that(monkeypatch: pytest.MonkeyPatch, result: object) -> None:
    def fn(recipe: str, base: str, if_changed: bool) -> object:
        assert is_reuse_only()
        assert preflight.load_run(recipe, base) is not None
        if isinstance(result, Exception):
            raise result
        return result

    monkeypatch.setattr(module.run_recipe, "fn", fn)


def test_a_run_that_reuses_everything_starts_no_server(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow_that(monkeypatch, "the record")
    assert module.start_run(run) == "the record"


@pytest.mark.parametrize("error", [NotMadeError("stage sample"), ServiceError("no answer")])
def test_else_the_run_is_prefects(
    run: Any, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    flow_that(monkeypatch, error)
    with pytest.raises(ServerStartedError):
        module.start_run(run)
    assert not is_reuse_only()


def test_a_fault_is_reported_without_a_server(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flow_that(monkeypatch, InputError("wrong"))
    with pytest.raises(InputError, match="wrong"):
        module.start_run(run)


def test_a_first_run_is_prefects(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flow_that(monkeypatch, "the record")
    run.recipe.name = "another"
    with pytest.raises(ServerStartedError):
        module.start_run(run)


def test_a_configured_server_sees_every_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flow_that(monkeypatch, "the record")
    url = {PREFECT_API_URL: "http://127.0.0.1:1/api"}
    with temporary_settings(url), pytest.raises(ServerStartedError):
        module.start_run(run)


def test_notifications_need_a_server(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    flow_that(monkeypatch, "the record")
    monkeypatch.setenv("MIRROR_NOTIFY", "slack-webhook/team")
    with pytest.raises(ServerStartedError):
        module.start_run(run)
