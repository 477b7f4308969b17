"""Requests that Prefect's server answers, by host and origin."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tasks.services.prefect_server import host_name, protect


@pytest.mark.parametrize(
    ("hosts", "status"),
    [
        ([b"localhost:4200"], 200),
        ([b"LOCALHOST"], 200),
        ([b"[::1]:4200"], 200),
        ([], 400),
        ([b""], 400),
        ([b"evil.example"], 400),
        ([b"localhost@evil.example"], 400),
        ([b"evil.example", b"localhost"], 400),
        ([b"localhost.evil.example:4200"], 400),
        ([b"::1"], 400),
    ],
)
def test_a_server_answers_to_its_own_names_only(hosts: list[bytes], status: int) -> None:
    assert answer_to([(b"host", host) for host in hosts], "http") == status
    assert (answer_to([(b"host", host) for host in hosts], "websocket") == 200) == (status == 200)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"http://localhost:4200", True),
        (b"http://page.example", True),
        (b"http://evil.example", False),
        (b"null", False),
    ],
)
def test_pages_of_other_origins_are_refused(origin: bytes, allowed: bool, kind: str) -> None:
    headers = [(b"host", b"localhost:4200"), (b"origin", origin)]
    assert (answer_to(headers, kind) == 200) == allowed


def answer_to(headers: list[tuple[bytes, bytes]], kind: str) -> int:
    """Return the HTTP status, or the code that a websocket is closed with, of a protected app."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    origins = frozenset({"http://page.example"})
    protected = protect(app, frozenset({"localhost", "[::1]"}), origins)
    scope = {"type": kind, "headers": headers, "path": "/", "extensions": {}}
    asyncio.run(protected(scope, receive, send))
    return int(sent[0].get("status") or sent[0].get("code") or 1000)


def test_a_host_name_excludes_the_port() -> None:
    assert [host_name(host) for host in ("a:1", "A", "[::1]:2", "[::1]", "a:b")] == [
        *("a", "a", "[::1]", "[::1]", "a:b")
    ]
