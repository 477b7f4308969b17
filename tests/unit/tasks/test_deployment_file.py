"""Deployments read from a prefect.yaml, and errors in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.errors import InputError
from mirror.paths import CHECKOUT
from tasks.deployment_file import read_file

SCHEDULE = {"slug": "weekly", "cron": "0 3 * * 1", "timezone": "UTC"}


def minimal(**changes: Any) -> dict[str, Any]:
    return {
        "name": "a",
        "entrypoint": "flows.run_recipe.run_recipe",
        "work_pool": {"name": "mirror"},
        "tags": ["team"],
        "parameters": {"recipe": "en-a"},
        "schedules": [SCHEDULE],
        **changes,
    }


def write(folder: Path, *deployments: Any, **changes: Any) -> Path:
    path = folder / "prefect.yaml"
    path.write_text(yaml.safe_dump({"name": "team", "deployments": list(deployments), **changes}))
    return path


def test_the_shipped_file_is_read() -> None:
    tag, deployments = read_file(CHECKOUT / "prefect.yaml")
    assert tag == "mirror-bert-pipeline"
    deployment = deployments["run-recipe/en-python-docs"]
    assert deployment["concurrency_limit"] == 1
    assert deployment["concurrency_options"] == {"collision_strategy": "CANCEL_NEW"}
    assert "recipe" in deployment["parameter_openapi_schema"]["properties"]
    assert deployment["schedules"]["weekly"]["cron"] == "0 3 * * 1"
    assert deployment["schedules"]["weekly"]["active"] is True


def test_defaults_are_those_of_prefect(tmp_path: Path) -> None:
    deployment = read_file(write(tmp_path, minimal()))[1]["run-recipe/a"]
    assert deployment["work_queue_name"] == "default"
    assert deployment["description"]
    assert deployment["paused"] is False
    assert deployment["concurrency_limit"] is None


def test_environment_variables_are_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_RECIPE", "en-b")
    path = write(tmp_path, minimal(parameters={"recipe": "{{ $TEAM_RECIPE }}"}))
    assert read_file(path)[1]["run-recipe/a"]["parameters"] == {"recipe": "en-b"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tags": []}, "a: add the tag team"),
        ({"entrypoint": "flows.nothing_there.run"}, "deployment a: `entrypoint` flows.nothing_"),
        ({"entrypoint": "flows/nope.py:run"}, r"entrypoint` flows/nope\.py:run is not a flow"),
        ({"entrypoint": "flows.run_recipe.nope"}, "'nope' not found"),
        ({"entrypoint": ""}, r"deployments\.0\.entrypoint: .*at least 1 character"),
        ({"name": ""}, r"deployments\.0\.name: .*at least 1 character"),
        ({"triggers": []}, r"deployments\.0\.triggers: unknown key"),
        ({"work_pool": None}, r"deployments\.0\.work_pool"),
        ({"work_pool": {"queue": "q"}}, r"deployments\.0\.work_pool\.name: missing"),
        ({"schedules": "weekly"}, r"deployments\.0\.schedules: .*list"),
        ({"schedules": [{**SCHEDULE, "slug": ""}]}, r"schedules\.0\.slug"),
        ({"schedules": [{**SCHEDULE, "cron": "every week"}]}, r"schedules\.0.*every week"),
        ({"schedules": [{**SCHEDULE, "cro": "x"}]}, r"schedules\.0\.cro: unknown key"),
        ({"schedules": [SCHEDULE, SCHEDULE]}, "a: two schedules have one slug"),
    ],
)
def test_a_wrong_deployment_is_an_error(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=rf"(?s)prefect\.yaml.*{message}"):
        read_file(write(tmp_path, minimal(**changes)))


def test_a_module_that_cannot_be_imported_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def run(:\n")
    with pytest.raises(InputError, match=r"deployment a: `entrypoint` .*is not a flow"):
        read_file(write(tmp_path, minimal(entrypoint=f"{tmp_path}/broken.py:run")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file"),
        ("name: [", "YAML"),
        ("name: team\n", "deployments: missing"),
        ("name: team\ndeployments: 5\n", "deployments: .*list"),
        ("name: team\ndeployments: [5]\n", r"deployments\.0"),
        ("deployments: []\n", "name: missing"),
    ],
)
def test_a_file_of_another_form_is_an_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"(?s)prefect\.yaml is not .*{message}"):
        read_file(path)


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml cannot be read .*--file"):
        read_file(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"Is a directory.*--file"):
        read_file(tmp_path)


def test_two_deployments_of_one_name_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="two deployments are called run-recipe/a"):
        read_file(write(tmp_path, minimal(), minimal()))
