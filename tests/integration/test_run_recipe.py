"""The chain from text to registered encoder, run as users run it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.evaluation.kinds.retrieval import held_out_passages
from mirror.formatting import score
from mirror.recipe import read_recipe
from mirror.release.run_record import RunRecord, find_record, find_stage
from mirror.run_data import RunData
from mirror.store import digest_of_json, folder_digest

MODEL = "mirror-en-tiny"
STAGES = [
    "corpus",
    "profile",
    "sample",
    "tune",
    "evaluation",
    "evaluation",
    "probe",
    "package",
    "report",
]
STAGE_TASKS = [
    "evaluate_encoder-base",
    "evaluate_encoder-tuned",
    "ingest_corpus",
    "package_encoder",
    "probe_encoder",
    "profile_corpus",
    "register_encoder",
    "sample_strings",
    "tune_encoder",
    "write_report",
]


@pytest.fixture(scope="module")
def first(undisturbed: SimpleNamespace) -> SimpleNamespace:
    """The first run, which ended well, with its record."""
    assert undisturbed.done.returncode == 0, undisturbed.done.stderr
    record = find_record(undisturbed.home)
    return SimpleNamespace(**vars(undisturbed), record=record)


@pytest.fixture(scope="module")
def again(
    first: SimpleNamespace, mirror_run: Callable[..., Any], prefect_api: str
) -> SimpleNamespace:
    """The same once more, with nothing changed."""
    done = mirror_run(first.recipe, first.home, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(**vars(first) | {"done": done, "record": find_record(first.home)})


@pytest.fixture(scope="module")
def elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
    tiny_base: Path,
) -> SimpleNamespace:
    """The same from scratch, in another workspace, from files of another folder.

    The recipe's base is on a hub, and the folder is named in its place.
    """
    folder = tmp_path_factory.mktemp("from-scratch")
    recipe, home = write_recipe(folder), folder / "other" / "home"
    own, hub = f"path = {json.dumps(str(tiny_base))}", f'hub = "a/b"\nrevision = "{"0" * 40}"'
    assert own in recipe.read_text()
    recipe.write_text(recipe.read_text().replace(own, hub))
    done = mirror_run(recipe, home, base=str(tiny_base), PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    return SimpleNamespace(home=home, recipe=recipe, record=find_record(home))


@pytest.fixture
def client(first: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Any:
    """MLflow, on the first run's store."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(f"sqlite:///{first.home / 'mlflow.db'}")


def weights(record: RunRecord) -> str:
    return hashlib.sha256((Path(record.encoder) / "model.safetensors").read_bytes()).hexdigest()


def made_strings(record: RunRecord) -> str:
    sample = find_stage(record, "sample")
    return hashlib.sha256((sample.path / "strings.parquet").read_bytes()).hexdigest()


def test_a_run_says_what_it_came_to(first: SimpleNamespace) -> None:
    shown = first.done.stdout
    assert "passage-retrieval" in shown
    assert "Challenger – it is not made champion" in shown
    assert "0 of 9 stages reused" in shown
    assert f"models:/{MODEL}/1" in shown
    assert first.record.report in shown
    assert "Traceback" not in first.done.stderr
    assert "Loading weights" not in first.done.stderr


def test_a_run_leaves_its_record_and_its_report(first: SimpleNamespace) -> None:
    record = first.record
    assert [line.stage for line in record.stages] == STAGES
    assert not any(line.reused for line in record.stages)
    assert "passage-retrieval" in Path(record.report).read_text()
    assert record.reasons[0].startswith("Not better than its base")
    assert [(line.benchmark, line.n) for line in record.scores] == [
        ("passage-retrieval", 100 - sampled_documents(record))
    ]


def sampled_documents(record: RunRecord) -> int:
    import pyarrow.parquet as pq

    table = pq.read_table(find_stage(record, "sample").path / "strings.parquet")
    assert table.num_rows == 32
    return len(table["document"].unique())


def test_the_version_tells_what_it_was_made_from(first: SimpleNamespace, client: Any) -> None:
    version = client.get_model_version_by_alias(MODEL, "challenger")
    recipe = read_recipe(first.recipe)
    expected = {
        "language": "en",
        "domain": "trades",
        "level": "sentence",
        "recipe": "en-tiny",
        "recipe_digest": digest_of_json(recipe.model_dump(mode="json")),
        "corpus_digest": find_stage(first.record, "corpus").digest,
        "sample_digest": find_stage(first.record, "sample").digest,
        "verdict": "refuse",
        "settled": "not promoted",
    }
    assert str(version.version) == "1"
    assert {key: version.tags.get(key) for key in expected} == expected
    assert len(version.tags["git_commit"].removesuffix("+changes")) in (len("unknown"), 40)
    assert client.get_registered_model(MODEL).aliases == {"challenger": 1}


def test_the_verdict_is_kept_in_words_and_numbers(first: SimpleNamespace, client: Any) -> None:
    import mlflow

    version = client.get_model_version_by_alias(MODEL, "challenger")
    assert version.description.startswith("Not promoted:\n- Not better than its base")
    run = client.get_run(version.run_id)
    verdict = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/verdict.json")
    [found] = verdict["base"]
    assert verdict["promote"] is False
    assert (found["before"], found["after"]) == (
        run.data.metrics["base/passage-retrieval"],
        run.data.metrics["tuned/passage-retrieval"],
    )
    assert run.data.params["tuning.temperature"] == "0.04"
    assert len(client.get_metric_history(version.run_id, "tuning/loss")) == 8


def test_the_registered_files_are_those_measured_and_no_pickles(
    first: SimpleNamespace, client: Any
) -> None:
    version = client.get_model_version_by_alias(MODEL, "challenger")
    [model] = (first.home / "mlflow-artifacts" / "en-tiny" / "models").iterdir()
    names = {path.name for path in model.rglob("*") if path.is_file()}
    assert {path for path in names if path.endswith((".pkl", ".bin", ".pt", ".pickle"))} == set()
    [weights_file] = model.rglob("model.safetensors")
    assert folder_digest(weights_file.parent) == folder_digest(Path(first.record.encoder))
    assert version.source == f"models:/{model.name}"


def test_a_second_run_makes_and_registers_nothing(again: SimpleNamespace, client: Any) -> None:
    assert "9 of 9 stages reused" in again.done.stdout
    assert "registered before; reused" in again.done.stdout
    assert all(line.reused for line in again.record.stages)
    assert [str(found.version) for found in client.search_model_versions("")] == ["1"]
    experiment = client.get_experiment_by_name("en-tiny").experiment_id
    assert len(client.search_runs([experiment])) == 1


def test_two_runs_from_scratch_make_the_same_bytes_wherever_the_base_is_named(
    first: SimpleNamespace, elsewhere: SimpleNamespace
) -> None:
    assert elsewhere.record.encoder != first.record.encoder
    assert made_strings(elsewhere.record) == made_strings(first.record)
    assert weights(elsewhere.record) == weights(first.record)


def task_states(ask_api: Callable[[str, Any], Any], recipe: Path) -> dict[str, str]:
    """The states of the tasks of a recipe's flow run, by name."""
    wanted = {"flows": {"name": {"any_": ["run-recipe"]}}}
    wanted |= {"flow_runs": {"name": {"any_": [str(recipe)]}}}
    [run] = ask_api("flow_runs/filter", wanted)
    assert run["state_name"] == "Completed"
    tasks = ask_api("task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    states = {task["name"]: task["state_name"] for task in tasks}
    assert len(states) == len(tasks)
    return states


def test_prefect_shows_what_was_made_as_completed(
    elsewhere: SimpleNamespace, ask_api: Callable[[str, Any], Any]
) -> None:
    states = task_states(ask_api, elsewhere.recipe)
    assert {name: states.get(name) for name in STAGE_TASKS} == dict.fromkeys(
        STAGE_TASKS, "Completed"
    )


def test_prefect_shows_what_was_reused_as_cached(
    again: SimpleNamespace, ask_api: Callable[[str, Any], Any]
) -> None:
    states = task_states(ask_api, again.recipe)
    assert {name for name, state in states.items() if state == "Cached"} == set(STAGE_TASKS)
    assert states["check_ready"] == states["record_run"] == "Completed"


def test_labelled_pairs_are_tuned_on_and_named(
    tmp_path: Path,
    write_recipe: Callable[..., Path],
    mirror_run: Callable[..., Any],
    prefect_api: str,
    sentences: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe, home = write_recipe(tmp_path), tmp_path / "home"
    stood = [f"{line.capitalize()}." for line in sentences[:40]]  # as the text has them
    lines = [f"{a}\t{b}\n" for a, b in zip(stood[:20], stood[20:], strict=True)]
    (tmp_path / "pairs.tsv").write_text("first\tsecond\n" + "".join(lines))
    with recipe.open("a") as file:
        file.write(f'[pairs]\npaths = ["{tmp_path / "pairs.tsv"}"]\n')
    done = mirror_run(recipe, home, PREFECT_API_URL=prefect_api)
    assert done.returncode == 0, done.stderr
    record = find_record(home)
    stages = [line.stage for line in record.stages]
    assert stages[:5] == ["corpus", "pairs", "profile", "sample", "tune"]
    assert find_stage(record, "tune").counts["strings"] == 32 + 20
    corpus, sample, pairs = (find_stage(record, name) for name in ("corpus", "sample", "pairs"))
    [line] = record.scores
    assert line.n == len(held_out_passages(RunData(corpus, sample, pairs)).queries)
    assert line.n < len(held_out_passages(RunData(corpus, sample)).queries)
    options = ("--benchmarks", line.benchmark, "--recipe", "en-tiny")
    monkeypatch.setenv("MIRROR_HOME", str(home))
    assert run_guarded(mirror, ["evaluate", record.encoder, *options]) == 0
    [told] = [row for row in capsys.readouterr().out.splitlines() if line.benchmark in row]
    assert str(line.n) in told.split() and score(line.after) in told.split()
    assert "Labelled pairs were used too." in (Path(record.encoder) / "README.md").read_text()
