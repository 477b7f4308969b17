"""Servers that others can reach ask everyone who they are, and no page speaks through a browser.

See also `tests/slow/services/test_servers_command.py` (loopback by default),
`tests/unit/tasks/services/test_options.py` (`--host` needs a login),
`tests/unit/tasks/services/test_prefect_server.py` (hosts and origins) and
`tests/slow/services/test_serve_command.py`.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import stat
from collections.abc import Callable, Iterator

import psutil
import pytest

from tests.fixtures.team import Team
from tests.fixtures.team import make_team as make_team

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


def secrets_of(database: str) -> list[str]:
    """Return the logins' password, and the database's if there is one."""
    return [PASSWORD, *([database.split(":")[2].partition("@")[0]] if database else [])]


@pytest.fixture(scope="module")
def team(make_team: Callable[..., Team], database: str) -> Iterator[Team]:
    """Both servers where others can reach them, with a login."""
    given = {"MIRROR_DATABASE_URL": database} if database else {}
    made = make_team(**LOGINS, **given)
    ports = [str(port) for port in made.ports]
    wanted = ["--host", "0.0.0.0", "--prefect-port", ports[0], "--mlflow-port", ports[1]]
    try:
        done = made.mirror("up", *wanted)
        for secret in secrets_of(database):
            assert secret not in done.stdout + done.stderr
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
    commands = team.running()
    assert len(commands) >= 3
    files = [path for path in (team.home / "servers").rglob("*") if path.is_file()]
    assert {"state.json", "prefect.log", "mlflow.log"} <= {path.name for path in files}
    for secret in secrets_of(database):
        assert secret not in shown
        assert secret not in json.dumps(commands)
        assert not [path for path in files if secret.encode() in path.read_bytes()]


def test_only_the_owner_can_read_state_and_logs(team: Team) -> None:
    servers = team.home / "servers"
    for path in (servers, servers / "state.json", *(servers / "logs").iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_worker_has_no_secret_of_a_server(team: Team, database: str) -> None:
    worker = psutil.Process(team.pids["worker-1"]).environ()
    assert not {"MIRROR_DATABASE_URL", "PGPASSWORD", *LOGINS} & set(worker)
    for secret in secrets_of(database)[1:]:
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
    assert team.state["database"] == database.replace(f":{secrets_of(database)[1]}", "")


def test_after_a_restart_the_database_must_be_named_again(team: Team, database: str) -> None:
    if not database:
        pytest.skip("no PostgreSQL on this machine")
    del team.environment["MIRROR_DATABASE_URL"]
    os.kill(int((team.home / "servers" / "supervisord.pid").read_text()), signal.SIGKILL)
    assert "set MIRROR_DATABASE_URL" in team.mirror("up", code=1).stderr
    team.mirror("down")
    assert team.running() == []


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
