"""The Dockerfile and compose.yaml, as far as they can be looked at without an engine."""

from __future__ import annotations

import re
import shlex
import tomllib
from typing import Any

import click
import pytest
import yaml

from flows.cli.main import mirror
from mirror.paths import CHECKOUT

COMPOSE = yaml.safe_load((CHECKOUT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
FROM_OUTSIDE = re.compile(r"\$\{[A-Z_]+:\?[^}]*\}")
SECRET = re.compile(r"PASSWORD|AUTH_STRING|SECRET|USERNAME")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with what follows it on one line."""
    text = (CHECKOUT / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [
        (name, rest.strip())
        for name, _, rest in (line.partition(" ") for line in joined.split("\n"))
    ]


def of(name: str) -> list[str]:
    return [rest for found, rest in instructions() if found == name]


def test_every_instruction_is_one() -> None:
    known = {"FROM", "ARG", "ENV", "RUN", "WORKDIR", "COPY", "USER", "CMD"}
    assert {name for name, _ in instructions()} == known


def test_the_image_starts_from_a_fixed_python_that_the_project_takes() -> None:
    [base] = of("FROM")
    wanted = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert base == "python:3.11-slim-bookworm"
    assert wanted == ">=3.11"


def test_the_last_user_is_not_root_and_is_made_before() -> None:
    names = [name for name, _ in instructions()]
    assert of("USER") == ["mirror"]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name == "RUN")
    assert any("useradd" in command and "mirror" in command for command in of("RUN"))


def test_everything_is_installed_by_the_constraints() -> None:
    installs = [command for command in of("RUN") if "pip install" in command]
    assert len(installs) == 2
    for command in installs:
        words = shlex.split(command)
        assert words[words.index("--constraint") + 1] == "constraints.txt"
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = re.findall(r"'\.\[(.*?)\]'", " ".join(installs))
    assert set(named[0].split(",")) == {"login", "postgres"}
    assert set(named[0].split(",")) <= set(extras["optional-dependencies"])


def test_what_is_copied_is_there() -> None:
    for copied in of("COPY"):
        source, _target = copied.split()
        assert (CHECKOUT / source).exists()


def test_history_environments_and_what_runs_made_stay_out_of_the_image() -> None:
    left_out = (CHECKOUT / ".dockerignore").read_text().split()
    assert {".git", ".venv", ".mirror"} <= set(left_out)
    assert not {"recipes", "benchmarks", "deploy", "prefect.yaml", "README.md"} & set(left_out)


def test_no_secret_is_in_the_image() -> None:
    assert not any(SECRET.search(setting) for setting in (*of("ENV"), *of("ARG")))


def test_there_are_the_services_of_the_team_setting() -> None:
    assert set(SERVICES) == {"postgres", "prefect", "mlflow", "worker", "deploy"}


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_to_this_machine_alone(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)
    assert bool(ports) == (name in ("prefect", "mlflow"))


@pytest.mark.parametrize("name", SERVICES)
def test_secrets_come_from_outside_and_have_no_default(name: str) -> None:
    environment = SERVICES[name]["environment"]
    for key, value in environment.items():
        if SECRET.search(key):
            assert FROM_OUTSIDE.fullmatch(value), key
        elif key.endswith(("CONNECTION_URL", "STORE_URI")):
            assert FROM_OUTSIDE.search(value.split("@")[0]), key
        else:
            assert "${" not in value and "@" not in value, key


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"deploy"}))
def test_a_service_says_whether_it_is_well(name: str) -> None:
    check = SERVICES[name]["healthcheck"]
    assert check["test"][0] == "CMD"
    assert check["retries"] >= 3
    address = re.search(r"http://127\.0\.0\.1:(\d+)/", " ".join(check["test"]))
    if ports := SERVICES[name].get("ports"):
        assert address is not None and ports[0].endswith(f":{address[1]}")
    if check["test"][1] == "python":
        compile(check["test"][3], name, "exec")


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_those_that_it_needs(name: str) -> None:
    needs = SERVICES[name].get("depends_on", {})
    assert all(SERVICES[other]["healthcheck"] for other in needs)
    assert all(how == {"condition": "service_healthy"} for how in needs.values())
    urls = " ".join(str(value) for value in SERVICES[name]["environment"].values())
    called = set(re.findall(r"(?:@|//)(postgres|prefect|mlflow)[:/]", urls))
    waited = set(needs) | {far for other in needs for far in SERVICES[other].get("depends_on", {})}
    assert called <= waited


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"postgres"}))
def test_our_containers_may_do_nothing_that_they_need_not(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "user" not in service and not service.get("privileged")


@pytest.mark.parametrize("name", SERVICES)
def test_what_is_mounted_is_there(name: str) -> None:
    for mounted in SERVICES[name].get("volumes", []):
        source = mounted.split(":")[0]
        if source.startswith("."):
            assert (CHECKOUT / source).is_file()
            assert mounted.endswith(":ro")
        else:
            assert source in COMPOSE["volumes"]


def test_each_server_has_its_database() -> None:
    made = (CHECKOUT / "deploy" / "compose" / "databases.sql").read_text()
    named = re.findall(r"CREATE DATABASE (\w+);", made)
    urls = [
        SERVICES["prefect"]["environment"]["PREFECT_SERVER_DATABASE_CONNECTION_URL"],
        SERVICES["mlflow"]["environment"]["MLFLOW_BACKEND_STORE_URI"],
    ]
    assert [url.rpartition("/")[2] for url in urls] == named


def test_mlflow_takes_its_command() -> None:
    from mlflow.cli import server

    name, *arguments = SERVICES["mlflow"]["command"][1:]
    context = server.make_context(name, arguments)
    assert context.params["app_name"] == "basic-auth"
    assert context.params["serve_artifacts"] is True


def test_mirror_takes_its_command() -> None:
    name, command, rest = mirror.resolve_command(
        click.Context(mirror), SERVICES["deploy"]["command"][1:]
    )
    assert command is not None
    assert command.make_context(name, list(rest)).params["yes"] is True
