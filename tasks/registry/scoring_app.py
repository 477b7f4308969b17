"""ASGI application of the scoring server: MLflow's, behind a check of each request.

MLflow's alone would encode None as the word "None".
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, Never

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PATH = "/invocations"
MAX_CHARACTERS = 100_000
"""Characters of a text; encoders read a few hundred tokens of it."""
MAX_TEXTS = 10_000
MAX_MEGABYTES = 64
EXAMPLE = '{"inputs": ["a text", "another text"]}'
KEYS = ("inputs", "instances", "dataframe_records", "dataframe_split")
"""Keys that MLflow's scoring server takes, one of them in a request."""

BAD_REQUEST = 400
UNSUPPORTED_TYPE = 415

NextHandler = Callable[["Request"], Awaitable["Response"]]


class RequestError(ValueError):
    """A request that gives no texts; its message is the answer."""


def make_app() -> Any:
    """Return the application; the environment names the model, as MLflow's `get_cmd` sets it."""
    from mlflow.pyfunc.scoring_server.app import app

    app.middleware("http")(check_request)
    return app


async def check_request(request: Request, call_next: NextHandler) -> Response:
    """Answer a request for vectors that gives no texts with 400; pass on all others."""
    from starlette.responses import JSONResponse

    if request.url.path.rstrip("/") != PATH or request.method != "POST":
        return await call_next(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        message = f"the content type is {kind or 'missing'}: send application/json like {EXAMPLE}"
        return JSONResponse(_answer(message), UNSUPPORTED_TYPE)
    try:
        _check_size(int(request.headers.get("content-length") or 0))
        body = await request.body()
        _check_size(len(body))
        check_body(body)
    except ValueError as error:
        return JSONResponse(_answer(str(error)), BAD_REQUEST)
    return await call_next(request)


def check_body(body: bytes) -> None:
    """Raise RequestError, in one sentence, unless a request's body is JSON with texts."""
    try:
        content = json.loads(body.decode(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON ({error}): send {EXAMPLE}") from error
    if not isinstance(content, dict):
        raise RequestError(f"the body is {_kind(content)}, not an object: send {EXAMPLE}")
    keys = [key for key in KEYS if key in content]
    if len(keys) != 1:
        raise RequestError(
            f"the body has {len(keys)} of the keys {', '.join(KEYS)}: send {EXAMPLE}"
        )
    [key] = keys
    count = 0
    for name, value in _cells(key, content[key]):
        count += 1
        _check_text(name, value)
    if not 0 < count <= MAX_TEXTS:
        raise RequestError(f"{key} has {count:,} texts: send 1 to {MAX_TEXTS:,} in a request")


def _cells(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield name and value of each text of a request."""
    if key == "dataframe_split":
        columns, rows = (
            value.get(name) if isinstance(value, dict) else None for name in ("columns", "data")
        )
        if not isinstance(columns, list) or len(columns) != 1 or not isinstance(rows, list):
            raise RequestError(f"{key} must have one name in columns, and data: send {EXAMPLE}")
        for number, row in enumerate(rows):
            is_row = isinstance(row, list) and len(row) == 1
            yield f"{key}.data[{number}]", row[0] if is_row else row
    elif isinstance(value, list):
        name = next(iter(value[0]), None) if value and isinstance(value[0], dict) else None
        for number, row in enumerate(value):
            is_row = key == "dataframe_records" and isinstance(row, dict) and list(row) == [name]
            yield f"{key}[{number}]", row[name] if is_row else row
    else:
        yield key, value


def _check_text(name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise RequestError(f"{name} is {_kind(value)}, not a text: send {EXAMPLE}")
    if len(value) > MAX_CHARACTERS:
        raise RequestError(
            f"{name} has {len(value):,} characters, more than {MAX_CHARACTERS:,}: split it"
        )
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise RequestError(f"{name} has half of a surrogate pair, which is no character: remove it")


def _check_size(count: int) -> None:
    if count > MAX_MEGABYTES << 20:
        raise RequestError(
            f"the body has {count >> 20:,} MiB, more than {MAX_MEGABYTES}: send fewer texts in a "
            "request"
        )


def _kind(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a truth value"
        case int() | float():
            return "a number"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "a text"


def _refuse_constant(name: str) -> Never:
    raise ValueError(f"{name} is no JSON")


def _answer(message: str) -> dict[str, str]:
    """Return an answer in the form of MLflow's errors."""
    return {"error_code": "BAD_REQUEST", "message": message}
