"""What is read from a prefect.yaml, and what is refused in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.errors import InputError
from mirror.paths import CHECKOUT
from tasks.deployments.file import read_file

SCHEDULE = {"slug": "weekly", "cron": "0 3 * * 1", "timezone": "UTC"}


def deployment(**changes: Any) -> dict[str, Any]:
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
    tag, found = read_file(CHECKOUT / "prefect.yaml")
    assert tag == "mirror-bert-pipeline"
    made = found["run-recipe/en-python-docs"]
    assert made.settings["concurrency_limit"] == 1
    assert made.settings["collision_strategy"] == "CANCEL_NEW"
    assert "recipe" in made.settings["the flow's parameters"]["properties"]
    assert made.schedules["weekly"]["cron"] == "0 3 * * 1"
    assert made.schedules["weekly"]["active"] is True


def test_what_is_left_out_is_as_prefect_fills_it_in(tmp_path: Path) -> None:
    _, found = read_file(write(tmp_path, deployment()))
    made = found["run-recipe/a"]
    assert made.settings["work_pool"]["work_queue_name"] == "default"
    assert made.settings["description"]
    assert made.settings["paused"] is False
    assert made.settings["concurrency_limit"] is None


def test_variables_of_the_environment_are_filled_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEAM_RECIPE", "en-b")
    path = write(tmp_path, deployment(parameters={"recipe": "{{ $TEAM_RECIPE }}"}))
    assert read_file(path)[1]["run-recipe/a"].settings["parameters"] == {"recipe": "en-b"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tags": []}, "lacks the tag team"),
        ({"entrypoint": "flows.nothing_there.run"}, "deployment a: `entrypoint` flows.nothing_"),
        ({"entrypoint": "flows/nope.py:run"}, r"entrypoint` flows/nope\.py:run gives no .*correct"),
        ({"entrypoint": "flows.run_recipe.nope"}, "'nope' not found"),
        ({"entrypoint": ""}, "deployment a lacks `entrypoint`: add it"),
        ({"name": ""}, "deployment number 1 lacks `name`"),
        ({"triggers": []}, "a has triggers, which is not compared"),
        ({"work_pool": None}, "deployment a lacks `work_pool`"),
        ({"work_pool": {"queue": "q"}}, "deployment a: `work_pool` lacks `name`"),
        ({"schedules": "weekly"}, "deployment a: `schedules` is no list"),
        ({"schedules": [{**SCHEDULE, "slug": ""}]}, "has no slug"),
        ({"schedules": [{**SCHEDULE, "cron": "every week"}]}, "schedule weekly of run-recipe/a"),
        ({"schedules": [{**SCHEDULE, "cro": "x"}]}, "has cro"),
        ({"schedules": [SCHEDULE, SCHEDULE]}, "two schedules of one slug"),
    ],
)
def test_a_wrong_deployment_is_told(tmp_path: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=rf"(?s)prefect\.yaml: .*{told}"):
        read_file(write(tmp_path, deployment(**changes)))


def test_a_module_that_fails_when_it_is_loaded_is_told(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def run(:\n")
    with pytest.raises(InputError, match=r"deployment a: `entrypoint` .*gives no flow"):
        read_file(write(tmp_path, deployment(entrypoint=f"{tmp_path}/broken.py:run")))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no keys"),
        ("name: [", "is no YAML"),
        ("name: team\n", "`deployments` is no list"),
        ("name: team\ndeployments: 5\n", "`deployments` is no list"),
        ("name: team\ndeployments: [5]\n", "`deployments` is no list"),
        ("deployments: []\n", "`name` is no text"),
    ],
)
def test_a_file_that_is_none_is_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"prefect\.yaml:? {told}"):
        read_file(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file .*none\.yaml: name .* with --file"):
        read_file(tmp_path / "none.yaml")
    with pytest.raises(InputError, match=r"Is a directory.*--file"):
        read_file(tmp_path)


def test_a_name_that_is_there_twice_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="twice"):
        read_file(write(tmp_path, deployment(), deployment()))
