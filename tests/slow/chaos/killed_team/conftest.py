"""Servers and a worker on PostgreSQL, and a reference run without failures."""

from __future__ import annotations

import itertools
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from mirror.paths import CHECKOUT
from mirror.release.run_record import find_record
from tests.conftest import ADJECTIVES, OBJECTS, PLACES, SUBJECTS, VERBS
from tests.fixtures.flows import own_environment
from tests.fixtures.ports import free_ports
from tests.slow.chaos.killed_team.cluster import NAME, Cluster
from tests.slow.chaos.killed_team.team import DeployedTeam, is_tuning, of_workspace

WriteRecipe = Callable[[Path], tuple[Path, str]]
RECIPE = """
language = "en"
domain = "trades"
level = "sentence"
[corpus]
source = "files"
paths = [{text}]
[sample]
size = 128
[base]
path = {base}
[tuning]
views = "identity"
batch_size = 32
epochs = 20
learning_rate = 6e-4
mask_length = 12
pooling = "mean"
checkpoint_seconds = 1
[evaluation]
benchmarks = ["passage-retrieval"]
[registry]
model = "{model}"
"""


@dataclass(frozen=True)
class ReferenceRun:
    """A run without failures: its results, and the lifetimes of its processes."""

    home: Path
    model: str
    seconds: float
    flow: tuple[float, float]
    """From the request to the flow's process, and to its end."""
    tuning: tuple[float, float]
    """Likewise of the process that tunes."""


def documents() -> list[str]:
    """200 of four sentences; what a document is about recurs in each, so that tuning can help."""
    drawn = random.Random(7)
    about = drawn.sample(list(itertools.product(SUBJECTS, ADJECTIVES, PLACES)), 200)
    found = []
    for subject, adjective, place in about:
        pairs = zip(drawn.sample(VERBS, 4), drawn.sample(OBJECTS, 4), strict=True)
        description = (
            f"The {subject} {verb} a {adjective} {thing} near the {place}." for verb, thing in pairs
        )
        found.append(" ".join(description))
    return found


@pytest.fixture(scope="session")
def write_recipe(tiny_base: Path) -> WriteRecipe:
    """Write the recipe and its text into a folder, with a registered model of its own."""

    def write(folder: Path) -> tuple[Path, str]:
        folder.mkdir(parents=True)
        text = folder / "text.jsonl"
        text.write_text("".join(json.dumps({"text": words}) + "\n" for words in documents()))
        model, recipe = f"mirror-{folder.name}", folder / "en-tiny.toml"
        where = {"text": json.dumps(str(text)), "base": json.dumps(str(tiny_base))}
        recipe.write_text(RECIPE.format(model=model, **where))
        return recipe, model

    return write


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """PostgreSQL with an empty database."""
    pytest.importorskip("psycopg")
    with tempfile.TemporaryDirectory(prefix="mirror-pg-") as name:
        made = Cluster(Path(name))
        made.start()
        try:
            made.make_database()
            yield made
        finally:
            if made.process:
                made.kill()


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[DeployedTeam]:
    """Servers and a worker, with prefect.yaml's deployment for the tiny recipe."""
    folder = tmp_path_factory.mktemp("team")
    prefect, mlflow = free_ports(2)
    environment = own_environment(
        folder / "home",
        PREFECT_API_URL=f"http://127.0.0.1:{prefect}/api",
        MIRROR_DATABASE_URL=f"{cluster.server}/{NAME}",
        PREFECT_WORKER_QUERY_SECONDS="1",
        PYTHONPATH=os.pathsep.join([str(CHECKOUT), *filter(None, sys.path)]),
    )
    made = DeployedTeam(folder / "home", (prefect, mlflow), environment, cluster)
    try:
        made.up()
        shipped, *_ = yaml.safe_load((CHECKOUT / "prefect.yaml").read_text())["deployments"]
        made.deploy({**shipped, "parameters": {}})
        yield made
    finally:
        made.mirror("down")


@pytest.fixture(scope="session")
def reference_run(
    team: DeployedTeam,
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: WriteRecipe,
) -> ReferenceRun:
    """Return the results of a run without failures."""
    folder = tmp_path_factory.mktemp("reference_run") / "reference_run"
    recipe, model = write_recipe(folder)
    began = time.monotonic()
    run = team.start_run(recipe, folder / "home")
    seen: dict[str, list[float]] = {"flow": [], "tuning": []}
    while team.state_of(run)[0] not in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
        now = time.monotonic() - began
        found = of_workspace(folder / "home")
        if found:
            seen["flow"].append(now)
        if any(is_tuning(one) for one in found):
            seen["tuning"].append(now)
        time.sleep(0.3)
    seconds = time.monotonic() - began
    kind, message = team.state_of(run)
    assert kind == "COMPLETED", message
    record = find_record(folder / "home")
    assert record.promote, record.reasons  # so that there are aliases to be moved
    spans = {name: (min(times), max(times)) for name, times in seen.items()}
    return ReferenceRun(folder / "home", model, seconds, **spans)
