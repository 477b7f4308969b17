"""Prefect's server behind a check of the Host and Origin headers.

Without a login, any web page in a browser on this machine could start runs: by a request whose
answer it cannot read, over a websocket, or by a DNS name that it makes lead here.  Prefect's CORS
settings only keep pages from reading answers, and websockets not even that.
"""

from __future__ import annotations

import sys
from typing import Any

from starlette.datastructures import Headers
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

REFUSAL = "origin not allowed: see PREFECT_SERVER_CORS_ALLOWED_ORIGINS"


class OriginMiddleware:
    """ASGI middleware: refuse requests and websockets of web pages of other origins."""

    def __init__(self, app: ASGIApp, origins: frozenset[str]) -> None:
        self.app = app
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request without an Origin, or with that of the server or an allowed one."""
        if scope["type"] == "lifespan" or self._is_allowed(Headers(scope=scope)):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await PlainTextResponse(REFUSAL, status_code=403)(scope, receive, send)

    def _is_allowed(self, headers: Headers) -> bool:
        same = {f"{scheme}://{headers.get('host')}" for scheme in ("http", "https")}
        return "*" in self.origins or set(headers.getlist("origin")) <= same | self.origins


def host_name(host: str) -> str:
    """Return a host without its port; an IPv6 address keeps its brackets."""
    head, colon, port = host.rpartition(":")
    return (head if colon and port.isdigit() else host).lower()


def protect(app: ASGIApp, names: frozenset[str], origins: frozenset[str]) -> ASGIApp:
    """Wrap an application so that it answers to these host names and origins only."""
    return TrustedHostMiddleware(
        OriginMiddleware(app, origins), allowed_hosts=sorted(names), www_redirect=False
    )


def serve(host: str, port: int, names: frozenset[str]) -> None:
    """Serve Prefect's API, UI and background services, as `prefect server start` does.

    Args:
        host: the address to listen on.
        port: the port to listen on.
        names: host names that the server answers to; empty means any, and no check of origins.
    """
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    settings = get_current_settings().server
    app: Any = create_app(final=True)
    origins = frozenset(settings.api.cors_allowed_origins.split(","))
    uvicorn.run(
        protect(app, names, origins) if names else app,
        host=host,
        port=port,
        timeout_keep_alive=settings.api.keepalive_timeout,
        log_level=settings.logging_level.lower(),
    )


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), frozenset(sys.argv[3:]))
