"""Shipped recipes, benchmarks and deployments agree with each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from mirror.evaluation.benchmark import definition_names, read_definition
from mirror.paths import CHECKOUT
from mirror.recipe import Recipe, find_recipe, recipe_names

FITTING = """
import importlib, json, sys
from prefect import Flow
for place, parameters in json.loads(sys.argv[1]):
    module, _, name = place.rpartition(".")
    flow = getattr(importlib.import_module(module), name)
    assert isinstance(flow, Flow), place
    flow.validate_parameters(parameters)
    print("fits", flow.name)
"""


def deployments() -> list[dict[str, Any]]:
    """Those of prefect.yaml, in its order."""
    content: Mapping[str, Any] = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())
    found: list[dict[str, Any]] = content["deployments"]
    return found


DEPLOYMENTS = {found["name"]: found for found in deployments()}


@pytest.fixture(params=recipe_names())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Each shipped recipe."""
    return find_recipe(request.param)


def test_there_are_recipes_benchmarks_and_deployments() -> None:
    """Otherwise the other tests would pass on empty lists."""
    assert recipe_names() and definition_names() and deployments()


def test_a_recipes_benchmarks_are_shipped(recipe: Recipe) -> None:
    assert set(recipe.evaluation.benchmarks) <= set(definition_names())


def test_a_recipes_model_has_its_name(recipe: Recipe) -> None:
    assert recipe.registry.model == f"mirror-{recipe.name}"


def test_a_recipe_has_one_deployment_of_its_name(recipe: Recipe) -> None:
    [found] = [made for made in deployments() if made["name"] == recipe.name]
    assert found["parameters"] == {"recipe": recipe.name, "if_changed": True}
    assert found["tags"] == [recipe.language, recipe.domain, recipe.level, "mirror-bert-pipeline"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_has_a_recipe_and_a_schedule(name: str) -> None:
    assert name in recipe_names()
    schedules = DEPLOYMENTS[name]["schedules"]
    assert schedules
    for schedule in schedules:
        assert schedule["slug"]
        assert len(schedule["cron"].split()) == 5
        assert schedule["timezone"]


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_names_a_module_and_not_a_file(name: str) -> None:
    entrypoint = DEPLOYMENTS[name]["entrypoint"]
    assert ".py" not in entrypoint and ":" not in entrypoint and "/" not in entrypoint
    module, _, _ = entrypoint.rpartition(".")
    assert find_spec(module) is not None
    assert DEPLOYMENTS[name]["pull"] == []


def test_deployments_parameters_fit_their_flow(tmp_path: Path) -> None:
    wanted = [[each["entrypoint"], each["parameters"]] for each in DEPLOYMENTS.values()]
    done = subprocess.run(
        [sys.executable, "-c", FITTING, json.dumps(wanted)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MIRROR_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == len(wanted) * "fits run-recipe\n", done.stderr


def test_languages_and_domains_have_recipes() -> None:
    languages = ("ar", "de", "es", "et", "fr", "it", "ja", "pl", "pt", "ru", "tr", "zh")
    sentences = {f"{language}-wikipedia" for language in languages}
    # No benchmark has labels for words of these.
    words = {f"{language}-words" for language in languages if language not in ("de", "ja", "pt")}
    domains = {f"en-{domain}" for domain in ("biomedical", "code", "legal", "support")}
    assert sentences | words | domains <= set(recipe_names())


@pytest.mark.parametrize("name", definition_names())
def test_a_benchmarks_definition_is_whole(name: str) -> None:
    definition = read_definition(name)
    assert definition.name == name
    assert definition.title
    for member in definition.members:
        assert read_definition(member).metric == definition.metric
    for file in definition.files:
        assert definition.publisher and definition.licence, file.path
