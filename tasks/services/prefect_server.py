"""Prefect's server, answering by this machine's own names alone, and to its own pages.

Without a login, any page in a browser on this machine could have workers run what it likes: it may
send a request that it cannot read the answer of, or have its own name lead here and be of one
origin with the server.  MLflow's server looks at both; Prefect's, as `prefect server start` has it,
at neither.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
REFUSAL = (
    b"not by that name (see MLFLOW_SERVER_ALLOWED_HOSTS), or not from that page (see "
    b"PREFECT_SERVER_CORS_ALLOWED_ORIGINS)"
)


class HostAndOriginMiddleware:
    """An application that is reached by some names of its host, and from some pages."""

    def __init__(self, app: App, names: frozenset[str], origins: frozenset[str]) -> None:
        self.app = app
        self.names = names
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on what may be asked, and refuses all else."""
        if scope["type"] == "lifespan" or self._may_ask(scope["headers"]):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"text/plain")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": REFUSAL})

    def _may_ask(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        told = [(key, value.decode("latin-1")) for key, value in headers]
        hosts = [value for key, value in told if key == b"host"]
        origins = {value for key, value in told if key == b"origin"}
        if len(hosts) != 1 or bare_name(hosts[0]) not in self.names:
            return False
        own = {f"{scheme}://{hosts[0]}" for scheme in ("http", "https")}
        return "*" in self.origins or origins <= own | self.origins


def bare_name(host: str) -> str:
    """A host without its port; an address of version 6 stays in brackets."""
    head, colon, port = host.rpartition(":")
    return (head if colon and port.isdigit() else host).lower()


def serve(host: str, port: int, names: frozenset[str]) -> None:
    """Serves Prefect's API and pages, with its services, as `prefect server start` does.

    Args:
        host: the address to listen on.
        port: likewise.
        names: by which it may be called; none means by any.
    """
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    settings = get_current_settings().server
    app: Any = create_app(final=True)
    origins = frozenset(settings.api.cors_allowed_origins.split(","))
    uvicorn.run(
        HostAndOriginMiddleware(app, names, origins) if names else app,
        host=host,
        port=port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), frozenset(sys.argv[3:]))
