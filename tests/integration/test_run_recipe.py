"""Whole runs in one process; all tests read the results of the same run."""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror import hashing
from mirror.encoders.base_settings import settle_recipe
from mirror.hashing import digest_of_json, folder_digest
from mirror.recipe import read_recipe
from mirror.release.run_record import RunRecord, find_stage
from tests.fixtures.flows import assert_results_printed, logged_digests, with_record

MODEL = "mirror-en-tiny"
Ask = Callable[[str, Any], Any]
STAGES = [
    "corpus",
    "profile",
    "sample",
    "tune",
    "evaluation",
    "evaluation",
    "smoke-test",
    "package",
    "report",
]
STAGE_TASKS = [
    "draw_sample",
    "evaluate-base",
    "evaluate-base-cls",
    "evaluate-tuned",
    "ingest_corpus",
    "package",
    "profile_corpus",
    "register",
    "smoke_test",
    "tune",
    "write_report",
]

DATA = {"ingest_corpus", "draw_sample"}
EDGES = {
    "check_ready": set[str](),
    "resolve_base": set[str](),
    "ingest_corpus": set[str](),
    "profile_corpus": {"ingest_corpus", "resolve_base"},
    "draw_sample": {"ingest_corpus"},
    "evaluate-base": DATA | {"resolve_base"},
    "evaluate-base-cls": DATA | {"resolve_base"},
    "tune": DATA | {"resolve_base"},
    "evaluate-tuned": DATA | {"tune"},
    "smoke_test": DATA | {"tune"},
}
"""The tasks whose results each task is given."""


@pytest.fixture(scope="module")
def first(finished_run: SimpleNamespace) -> SimpleNamespace:
    """Return the first run, which succeeded, and its record."""
    return with_record(finished_run)


@pytest.fixture(scope="module")
def again(
    first: SimpleNamespace,
    run_here: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """Run the recipe again, unchanged, as in a new process: no digest is cached."""
    hashing._known_digest.cache_clear()
    with logged_digests(tmp_path_factory.mktemp("again")) as hashed:
        done = run_here(first.recipe, first.home)
    return with_record(SimpleNamespace(**vars(first) | {"done": done, "hashed": hashed}))


@pytest.fixture
def client(first: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a client of the first run's MLflow store."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{first.home / 'mlflow.db'}")


def test_a_run_prints_its_results(first: SimpleNamespace) -> None:
    assert_results_printed(first)


def test_a_run_writes_its_record_and_its_report(first: SimpleNamespace) -> None:
    record = first.record
    assert [line.stage for line in record.stages] == STAGES
    assert not any(line.reused for line in record.stages)
    assert "passage-retrieval" in Path(record.report).read_text()
    assert re.match(r"No (significant )?improvement over the base", record.reasons[0])
    assert [(line.benchmark, line.n) for line in record.scores] == [
        ("passage-retrieval", len(held_out_documents(record)))
    ]


def held_out_documents(record: RunRecord) -> set[int]:
    """Documents that are searched; none was sampled."""
    import pyarrow.parquet as pq

    from mirror.duckdb_connection import connect
    from mirror.held_out import create_held_out

    table = pq.read_table(find_stage(record, "sample").path / "strings.parquet")
    corpus = find_stage(record, "corpus").path
    with tempfile.TemporaryDirectory() as work, connect(Path(work)) as connection:
        create_held_out(connection, corpus)
        rows = connection.execute("SELECT document FROM held_out").fetchall()
    documents = {row[0] for row in rows}
    assert table.num_rows == 32
    assert 30 < len(documents) < 70
    assert not documents & set(table["document"].to_pylist())
    return documents


def test_the_version_records_its_inputs(first: SimpleNamespace, client: Any) -> None:
    version = client.get_model_version_by_alias(MODEL, "challenger")
    read = read_recipe(first.recipe)
    recipe = settle_recipe(read, Path(str(read.base.path)))
    expected = {
        "language": "en",
        "domain": "trades",
        "level": "sentence",
        "recipe": "en-tiny",
        "recipe_digest": digest_of_json(recipe.model_dump(mode="json")),
        "corpus_digest": find_stage(first.record, "corpus").digest,
        "sample_digest": find_stage(first.record, "sample").digest,
        "verdict": "refuse",
        "promotion_status": "not promoted",
    }
    assert str(version.version) == "1"
    assert {key: version.tags.get(key) for key in expected} == expected
    assert len(version.tags["git_commit"].removesuffix("+changes")) in (len("unknown"), 40)
    assert client.get_registered_model(MODEL).aliases == {"challenger": 1}


def test_the_verdict_is_recorded_as_text_and_metrics(first: SimpleNamespace, client: Any) -> None:
    import mlflow

    version = client.get_model_version_by_alias(MODEL, "challenger")
    assert version.description.startswith(f"Not promoted:\n- {first.record.reasons[0]}")
    run = client.get_run(version.run_id)
    verdict = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/verdict.json")
    [change] = verdict["input"]["base"]
    assert verdict["promote"] is False
    assert (change["before"], change["after"]) == (
        run.data.metrics["base/passage-retrieval"],
        run.data.metrics["tuned/passage-retrieval"],
    )
    assert run.data.params["tuning.temperature"] == "0.04"
    assert len(client.get_metric_history(version.run_id, "tuning/loss")) == 8


def test_the_registered_files_are_the_evaluated_ones_without_pickles(
    first: SimpleNamespace, client: Any
) -> None:
    version = client.get_model_version_by_alias(MODEL, "challenger")
    [model] = (first.home / "mlflow-artifacts" / "en-tiny" / "models").iterdir()
    names = {path.name for path in model.rglob("*") if path.is_file()}
    assert {path for path in names if path.endswith((".pkl", ".bin", ".pt", ".pickle"))} == set()
    [weights_file] = model.rglob("model.safetensors")
    assert folder_digest(weights_file.parent) == folder_digest(Path(first.record.encoder))
    assert version.source == f"models:/{model.name}"


def test_a_second_run_reuses_all_stages_and_registers_no_version(
    again: SimpleNamespace, client: Any
) -> None:
    assert "9 of 9 stages reused" in again.done.stdout
    assert "registered before; reused" in again.done.stdout
    assert all(line.reused for line in again.record.stages)
    assert [str(found.version) for found in client.search_model_versions("")] == ["1"]
    experiment = client.get_experiment_by_name("en-tiny").experiment_id
    assert len(client.search_runs([experiment])) == 1


def test_a_first_run_hashes_no_file_twice(first: SimpleNamespace) -> None:
    counts = Counter(first.hashed)
    assert any(path.name == "model.safetensors" for path in counts)
    assert {path: count for path, count in counts.items() if count > 1} == {}


def test_an_unchanged_run_hashes_no_file_of_a_stage_and_the_base_once(
    again: SimpleNamespace, tiny_base: Path
) -> None:
    assert [path for path in again.hashed if again.home in path.parents] == []
    weights = [path for path in again.hashed if path.suffix == ".safetensors"]
    assert weights == [tiny_base / "model.safetensors"]


def tasks_of(ask_api: Ask, recipe: Path, number: int) -> list[dict[str, Any]]:
    """Return the task runs of a recipe's first or last flow run."""
    wanted = {"flows": {"name": {"any_": ["run-recipe"]}}}
    wanted |= {"flow_runs": {"name": {"any_": [str(recipe)]}}}
    run = ask_api("flow_runs/filter", wanted | {"sort": "START_TIME_ASC"})[number]
    assert run["state_name"] == "Completed"
    tasks: list[dict[str, Any]] = ask_api(
        "task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}}
    )
    return tasks


def task_states(ask_api: Ask, recipe: Path, number: int) -> dict[str, str]:
    """Return the task states of a recipe's first or last flow run, by task name."""
    tasks = tasks_of(ask_api, recipe, number)
    states = {task["name"]: task["state_name"] for task in tasks}
    assert len(states) == len(tasks)
    return states


def task_edges(ask_api: Ask, recipe: Path, number: int) -> dict[str, set[str]]:
    """The tasks whose results each task of a recipe's flow run was given, by name."""
    tasks = tasks_of(ask_api, recipe, number)
    names = {task["id"]: task["name"] for task in tasks}
    return {
        task["name"]: {
            names[given["id"]]
            for values in task["task_inputs"].values()
            for given in values
            if given["input_type"] == "task_run"
        }
        for task in tasks
    }


def test_prefects_edges_are_the_data_that_tasks_are_given(
    first: SimpleNamespace, ask_api: Ask
) -> None:
    edges = task_edges(ask_api, first.recipe, 0)
    assert {name: given for name, given in edges.items() if name in EDGES} == EDGES
    assert not any("check_ready" in given for given in edges.values())


def test_prefect_shows_new_stages_as_completed(first: SimpleNamespace, ask_api: Ask) -> None:
    states = task_states(ask_api, first.recipe, 0)
    assert {name: states.get(name) for name in STAGE_TASKS} == dict.fromkeys(
        STAGE_TASKS, "Completed"
    )


def test_prefect_shows_reused_stages_as_cached(again: SimpleNamespace, ask_api: Ask) -> None:
    states = task_states(ask_api, again.recipe, -1)
    assert {name for name, state in states.items() if state == "Cached"} == set(STAGE_TASKS)
    assert states["check_ready"] == states["record_run"] == "Completed"
