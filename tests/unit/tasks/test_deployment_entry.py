"""Entries added to a prefect.yaml."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from mirror.errors import InputError
from mirror.paths import CHECKOUT
from mirror.recipe import Recipe, find_recipe
from tasks.deployment_entry import add_deployment
from tasks.deployment_file import read_file

CRON = "5 4 * * 0"
PLAIN = """\
# ours
name: team   # the tag
deployments:
- name: a
  entrypoint: flows.run_recipe.run_recipe
  work_pool: {name: mirror}
  tags: [team]
  description: >
    two
    lines

# the end
pull: []
"""


@pytest.fixture
def recipe() -> Recipe:
    shipped = find_recipe("en-python-docs")
    return shipped.model_copy(update={"name": "no-support", "language": "no", "domain": "support"})


def test_every_line_of_the_file_stays_as_it_is(recipe: Recipe, tmp_path: Path) -> None:
    path = CHECKOUT / "prefect.yaml"
    old, new = path.read_text().splitlines(), add_deployment(path, recipe, CRON).splitlines()
    start = next(n for n, line in enumerate(new) if "name: no-support" in line) - 1
    assert new[:start] + new[start + 10 :] == old
    assert new[start] == "  - <<: *run_recipe"
    changed = tmp_path / "prefect.yaml"
    changed.write_text("\n".join(new))
    deployment = read_file(changed)[1]["run-recipe/no-support"]
    assert deployment["parameters"] == {"recipe": "no-support", "if_changed": True}
    assert sorted(deployment["tags"]) == ["mirror-bert-pipeline", "no", "sentence", "support"]
    assert deployment["schedules"]["scheduled"]["cron"] == CRON
    assert deployment["concurrency_limit"] == 1


def test_a_file_without_the_anchor_gets_all_keys(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(PLAIN)
    text = add_deployment(path, recipe, CRON, active=False)
    before, after = PLAIN.split("\n# the end")
    assert text.startswith(before.rstrip())
    assert text.endswith(f"# the end{after}")
    path.write_text(text)
    deployment = read_file(path)[1]["run-recipe/no-support"]
    assert deployment["work_pool_name"] == "mirror"
    assert deployment["concurrency_options"] == {"collision_strategy": "CANCEL_NEW"}
    assert deployment["schedules"]["scheduled"]["active"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "cannot be read as YAML"),
        ("name: a\n", "no list `deployments:`"),
        ("name: a\ndeployments: []\n", "no list `deployments:`"),
        ("name: a\ndeployments: [{name: b}]\n", "no list `deployments:`"),
        ("name: a\ndeployments:\n- name: no-support\n", "has a deployment no-support already"),
    ],
)
def test_another_form_is_an_error(recipe: Recipe, tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        add_deployment(path, recipe, CRON)
    assert path.read_text() == text


def test_many_can_be_added(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "prefect.yaml"
    path.write_text((CHECKOUT / "prefect.yaml").read_text())
    names = [f"no-{n}" for n in range(3)]
    for name in names:
        path.write_text(add_deployment(path, recipe.model_copy(update={"name": name}), CRON))
    assert [each["name"] for each in yaml.safe_load(path.read_text())["deployments"]][-3:] == names
