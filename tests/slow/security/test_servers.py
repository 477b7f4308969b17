"""Servers that others can reach ask everyone who they are, and no page speaks through a browser.

See also `tests/slow/services/test_servers_command.py` (loopback by default),
`tests/unit/tasks/services/test_options.py` (`--host` needs a login) and
`tests/slow/services/test_serve_command.py`.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import re
import stat
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

from tasks.services.prefect_server import host_name, protect
from tests.slow.services.test_servers_command import Team
from tests.slow.services.test_servers_command import make_team as make_team

pytestmark = pytest.mark.slow
PASSWORD = "c4n4ry-in-tests"
LOGINS = {
    "PREFECT_SERVER_API_AUTH_STRING": f"chief:{PASSWORD}-prefect",
    "MLFLOW_AUTH_ADMIN_USERNAME": "chief",
    "MLFLOW_AUTH_ADMIN_PASSWORD": f"{PASSWORD}-mlflow",
}
EVIL = "http://evil.example"
OPEN = re.compile(r"/(static-files/|health|version$|$)|.*/server-info$|/api/(health|ready)$")
"""Routes without user data that are used before the login."""
MORE = (
    *("/api/2.0/mlflow/users/list", "/api/2.0/mlflow/users/get?username=chief", "/signup"),
    *("/v1/traces", "/ajax-api/3.0/jobs", "/api/3.0/jobs/search", "/gateway/x/mlflow/invocations"),
    *("/api/2.0/mlflow-artifacts/artifacts?path=/", "/api/2.0/mlflow-artifacts/artifacts/a/b"),
    *("/openapi.json", "/docs", "/static-files/../api/2.0/mlflow/experiments/search"),
    *("//api/2.0/mlflow/experiments/search", "/API/2.0/mlflow/experiments/search"),
)


def ask(
    port: int, path: str, method: str = "GET", body: str | None = None, **headers: str
) -> http.client.HTTPResponse:
    """Ask a server on this machine; the answer is read."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, given)
    answer = connection.getresponse()
    answer.content = answer.read()  # type: ignore[attr-defined]
    connection.close()
    return answer


def login(word: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(word.encode()).decode()}"}


def in_json(word: str = "") -> dict[str, str]:
    return {"Content_Type": "application/json", **(login(word) if word else {})}


PREFECT_LOGIN = LOGINS["PREFECT_SERVER_API_AUTH_STRING"]
MLFLOW_LOGIN = f"chief:{LOGINS['MLFLOW_AUTH_ADMIN_PASSWORD']}"


@pytest.fixture(scope="module")
def database(request: pytest.FixtureRequest) -> str:
    """PostgreSQL's address where there is one on this machine."""
    try:
        return str(request.getfixturevalue("postgres"))
    except pytest.skip.Exception:
        return ""


@pytest.fixture(scope="module")
def team(make_team: Callable[..., Team], database: str) -> Iterator[Team]:
    """Both servers where others can reach them, with a login."""
    given = {"MIRROR_DATABASE_URL": database} if database else {}
    made = make_team(**LOGINS, **given)
    ports = [str(port) for port in made.ports]
    wanted = ["--host", "0.0.0.0", "--prefect-port", ports[0], "--mlflow-port", ports[1]]
    try:
        made.mirror("up", *wanted)
        yield made
    finally:
        made.mirror("down")


@pytest.fixture(scope="module")
def open_team(make_team: Callable[..., Team]) -> Iterator[Team]:
    """Both servers with default settings."""
    made = make_team()
    try:
        made.up()
        yield made
    finally:
        made.mirror("down")


def prefect_routes(port: int) -> list[tuple[str, str]]:
    """Method and path of all that Prefect's server answers, as it says itself."""
    answer = ask(port, "/api/openapi.json", **login(PREFECT_LOGIN))
    paths = json.loads(answer.content)["paths"]  # type: ignore[attr-defined]
    found = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [(method, re.sub(r"\{[^}]*\}", "x", f"/api{path}")) for method, path in found]


def mlflow_routes() -> list[tuple[str, str]]:
    """Method and path of MLflow's routes, including those outside its table."""
    from mlflow.server import app

    found = [
        (method, re.sub(r"<[^>]*>", "x", rule.rule))
        for rule in app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]
    return [*found, *(("GET", path) for path in MORE), *(("POST", path) for path in MORE)]


def test_requests_without_a_login_are_refused(team: Team) -> None:
    prefect, mlflow = team.ports
    asked = {prefect: prefect_routes(prefect), mlflow: mlflow_routes()}
    assert len(asked[prefect]) > 150 and len(asked[mlflow]) > 300
    answers = {
        (method, path): ask(port, path, method, "{}", **in_json()).status
        for port, routes in asked.items()
        for method, path in routes
        if not OPEN.fullmatch(path)
    }
    refused = (401, 403, 404, 405)
    assert {route: status for route, status in answers.items() if status not in refused} == {}
    assert list(answers.values()).count(401) > 450


def test_a_wrong_login_is_refused(team: Team) -> None:
    prefect, mlflow = team.ports
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    for word in ("chief:", "chief:wrong", "admin:password1234", "admin:password", f":{PASSWORD}"):
        answer = ask(prefect, "/api/flows/filter", "POST", "{}", **in_json(word))
        assert answer.status == 401
        assert ask(mlflow, search, **login(word)).status == 401
    assert ask(prefect, "/api/flows/filter", "POST", "{}", **in_json(PREFECT_LOGIN)).status == 200
    assert ask(mlflow, search, **login(MLFLOW_LOGIN)).status == 200


def test_no_password_is_in_a_command_or_a_file(team: Team, database: str) -> None:
    shown = team.mirror("doctor").stdout
    assert "worker-1 online" in " ".join(shown.split())
    secrets = [PASSWORD, *([database.split(":")[2].partition("@")[0]] if database else [])]
    files = [path for path in (team.home / "servers").rglob("*") if path.is_file()]
    assert {"state.json", "mlflow.log"} <= {path.name for path in files}
    for secret in secrets:
        assert secret not in shown
        assert secret not in json.dumps(team.running())
        assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_only_the_owner_can_read_state_and_logs(team: Team) -> None:
    servers = team.home / "servers"
    for path in (servers, servers / "state.json", *(servers / "logs").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_worker_has_no_secret_of_a_server(team: Team, database: str) -> None:
    worker = psutil.Process(team.pids["worker-1"]).environ()
    assert not {"MIRROR_DATABASE_URL", "PGPASSWORD", *LOGINS} & set(worker)
    if database:
        secret = database.split(":")[2].partition("@")[0]
        assert not [name for name, value in worker.items() if secret in value]
    assert worker["PREFECT_API_AUTH_STRING"] == PREFECT_LOGIN


def test_logins_are_kept_with_the_runs(team: Team, database: str) -> None:
    if not database:
        assert (team.home / "servers" / "mlflow" / "basic_auth.db").is_file()
        return
    import psycopg

    kept = database.removesuffix("/mirror") + "/mirror_mlflow"
    with psycopg.connect(kept) as connection:
        [(name, word)] = connection.execute("SELECT username, password_hash FROM users").fetchall()
    assert name == "chief"
    assert PASSWORD not in word
    assert not list((team.home / "servers").rglob("*.db"))


def test_pages_of_another_origin_get_no_cors_permission(open_team: Team) -> None:
    prefect, mlflow = open_team.ports
    asks = {"Origin": EVIL, "Access_Control_Request_Method": "POST"}
    leave = "Access-Control-Allow-Origin"
    wishes = {**asks, "Access_Control_Request_Headers": "content-type"}
    assert ask(prefect, "/api/flows/", "OPTIONS", **wishes).getheader(leave) is None
    for origin in (f"http://127.0.0.1:{prefect}", f"http://localhost:{prefect}"):
        own = ask(prefect, "/api/flows/", "OPTIONS", **{**wishes, "Origin": origin})
        assert own.getheader(leave) == origin
    body = '{"name": "by-a-page"}'
    for kind in ({}, {"Content_Type": "text/plain"}, {"Content_Type": "multipart/form-data"}):
        for origin in (EVIL, "null", f"http://localhost:{mlflow}", f"{EVIL}:{prefect}"):
            sent = ask(prefect, "/api/flows/", "POST", body, Origin=origin, **kind)
            assert sent.status == 403
    create = "/api/2.0/mlflow/experiments/create"
    for kind in ("application/json", "text/plain"):
        sent = ask(mlflow, create, "POST", body, Origin=EVIL, Content_Type=kind)
        assert sent.status == 403
    page = f"http://127.0.0.1:{prefect}"
    found = ask(prefect, "/api/flows/filter", "POST", "{}", Origin=page, **in_json())
    assert found.content == b"[]"  # type: ignore[attr-defined]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example"])
def test_dns_rebinding_is_refused(open_team: Team, host: str) -> None:
    """The page's own name resolves to 127.0.0.1 the second time."""
    for port, path in zip(
        open_team.ports, ("/api/admin/settings", "/api/2.0/mlflow/experiments/search"), strict=True
    ):
        assert ask(port, path, Host=host.format(port=port)).status == (
            400 if port == open_team.ports[0] else 403
        )
        assert ask(port, path, Host=f"localhost:{port}").status in (200, 400)


def test_mlflow_runs_no_code_that_a_client_sends(open_team: Team) -> None:
    sent = ask(open_team.ports[1], "/ajax-api/3.0/jobs", "POST", "{}", **in_json())
    assert sent.status >= 400
    server = psutil.Process(open_team.pids["mlflow"]).environ()
    assert server["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"


def test_servers_that_others_reach_are_not_started_without_a_login(
    make_team: Callable[..., Team],
) -> None:
    alone = make_team()
    message = alone.mirror("up", "--host", "0.0.0.0", code=1).stderr
    assert "others can reach the servers" in message
    assert alone.running() == []


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
