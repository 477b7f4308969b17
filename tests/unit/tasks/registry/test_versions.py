"""Versions of a registered model: content, local copies and history."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BaseModelError
from mirror.hashing import folder_digest
from mirror.recipe import BaseSection
from tasks import registry
from tasks.registry import fetch_model
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.history import read_history

MODEL = "mirror-en-trades"
register = registry.register.fn


@pytest.fixture
def registered(
    make_candidate: Callable[..., RegistrationCandidate], workspace: Path, tracking: str
) -> RegistrationCandidate:
    """The champion, version 1."""
    candidate = make_candidate(1)
    register(candidate, workspace)
    return candidate


def test_weights_are_registered_as_safetensors_and_nothing_is_pickled(
    registered: RegistrationCandidate, workspace: Path
) -> None:
    files = [path for path in (workspace / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix == ".safetensors"] == ["model.safetensors"]
    text = {".json", ".txt", ".yaml", ".yml", ".html", ".md", "", ".safetensors"}
    assert {path.suffix for path in files} - text == set()


@pytest.mark.parametrize("query", ["", "?timeout=30"])
def test_an_sqlite_store_keeps_its_encoders_next_to_the_file(
    make_candidate: Callable[..., RegistrationCandidate],
    workspace: Path,
    tracking: str,
    query: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///mlflow.db{query}")
    candidate = make_candidate(0)
    register(candidate, workspace)
    monkeypatch.chdir("/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    folder = fetch_model(f"models:/{MODEL}/1", workspace)
    assert folder_digest(folder) == folder_digest(candidate.encoder)
    assert {path.name for path in workspace.glob("mlflow*")} == {
        "mlflow-artifacts",
        "mlflow.db",
        "mlflow.db.lock",
        f"mlflow.db.{MODEL}.lock",
    }


def test_the_installed_package_versions_are_required(
    registered: RegistrationCandidate, workspace: Path
) -> None:
    import torch

    [file] = (workspace / "mlflow-artifacts").rglob("requirements.txt")
    lines = file.read_text().splitlines()
    assert f"torch=={torch.__version__.partition('+')[0]}" in lines
    assert all("==" in line and "+" not in line for line in lines)


@pytest.mark.parametrize("uri", [f"models:/{MODEL}@champion", f"models:/{MODEL}/1"])
def test_a_registered_encoder_is_downloaded(
    registered: RegistrationCandidate, workspace: Path, uri: str
) -> None:
    folder = fetch_model(uri, workspace)
    assert folder_digest(folder) == folder_digest(registered.encoder)
    [copy] = (workspace / "registered" / MODEL).iterdir()
    assert copy == folder and copy.name.startswith("1-")


def test_an_encoder_is_downloaded_once(registered: RegistrationCandidate, workspace: Path) -> None:
    folder = fetch_model(f"models:/{MODEL}/1", workspace)
    shutil.rmtree(workspace / "mlflow-artifacts")
    assert fetch_model(f"models:/{MODEL}@champion", workspace) == folder


@pytest.mark.parametrize(
    "uri",
    [
        f"models:/{MODEL}@best",
        f"models:/{MODEL}",
        f"models:/{MODEL}/",
        f"models:/{MODEL}/7",
        f"models:/{MODEL}/0",
        f"models:/{MODEL}/latest",
        f"models:/{MODEL}/Production",
        f"models:/{MODEL}/../../outside",
        f"models:/{MODEL}/1/..",
        "models:/../outside",
        "models:/../1",
        "models:/none/1",
        "models:/none@champion",
        f"{MODEL}@champion",
        f"{MODEL}/1",
    ],
)
def test_a_missing_model_is_named(
    registered: RegistrationCandidate, workspace: Path, uri: str
) -> None:
    (workspace / "outside" / "1").mkdir(parents=True)
    with pytest.raises(BaseModelError, match=f"has no {uri}: name a registered model as models:/"):
        fetch_model(uri, workspace)
    assert not list(workspace.glob("registered/*/*"))


def test_copies_of_two_stores_are_kept_apart(
    registered: RegistrationCandidate,
    make_candidate: Callable[..., RegistrationCandidate],
    workspace: Path,
    empty_tracking: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = fetch_model(f"models:/{MODEL}/1", workspace)
    other = shutil.copy(empty_tracking, workspace / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}")
    candidate = make_candidate(2)
    register(candidate, workspace)
    second = fetch_model(f"models:/{MODEL}/1", workspace)
    assert folder_digest(second) == folder_digest(candidate.encoder)
    assert folder_digest(first) == folder_digest(registered.encoder)


def test_a_summary_has_scores_verdict_and_origin(
    make_candidate: Callable[..., RegistrationCandidate], workspace: Path, client: Any
) -> None:
    candidate = make_candidate(0)
    register(candidate, workspace)
    [summary] = read_history(MODEL)
    assert (summary.number, summary.recipe, summary.verdict) == ("1", "en-trades", "promote")
    assert summary.corpus == candidate.results.corpus.digest
    assert summary.scores == {"likeness": (0.25, 0.5)}
    assert summary.reasons == "Promoted:\n- Better than its base."
    assert summary.aliases == ("challenger", "champion")
    assert summary.status == "promoted"
    [line] = summary.status_lines
    assert line.startswith("promoted by the gate, 20")
    timestamp = client.get_model_version(MODEL, "1").creation_timestamp
    assert summary.created.endswith("+00:00")
    assert int(datetime.fromisoformat(summary.created).timestamp()) == timestamp // 1_000


def test_the_history_is_in_numeric_order(
    client: Any, workspace: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.create_registered_model(MODEL)
    for _ in range(11):
        client.create_model_version(MODEL, str(tmp_path), tags={"promotion_status": "not promoted"})
    client.set_model_version_tag(MODEL, "11", "promotion_status", "superseded by version 3")
    summaries = read_history(MODEL)
    assert [summary.number for summary in summaries] == [str(number) for number in range(1, 12)]
    assert {summary.status for summary in summaries[:10]} == {"refused"}
    assert summaries[10].status_lines == ("superseded by version 3",)
    assert not summaries[0].scores


def test_a_version_whose_run_was_deleted_is_listed(
    client: Any, workspace: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(tmp_path), run_id="f" * 32)
    [summary] = read_history(MODEL)
    assert (summary.scores, summary.status) == ({}, "its run has not ended")
    assert "the run of mirror-en-trades version 1 was deleted" in caplog.text


def test_a_version_tuned_from_the_champion_names_it_as_parent(
    registered: RegistrationCandidate,
    make_candidate: Callable[..., RegistrationCandidate],
    workspace: Path,
    client: Any,
) -> None:
    uri = f"models:/{MODEL}@champion"
    candidate = make_candidate(2)
    recipe = registered.recipe.model_copy(update={"base": BaseSection(registry=uri)})
    base = EncoderRef(str(fetch_model(uri, workspace)), "b" * 64, uri)
    register(
        replace(candidate, results=replace(candidate.results, recipe=recipe, base=base)), workspace
    )
    assert [summary.parent for summary in read_history(MODEL)] == ["", "1"]


def test_general_benchmarks_are_told_apart_from_the_domains(client: Any, tmp_path: Path) -> None:
    run = client.create_run(client.create_experiment("trades"))
    for benchmark in ("stsb", "passage-retrieval"):
        client.log_metric(run.info.run_id, f"tuned/{benchmark}", 0.5)
    client.create_registered_model(MODEL)
    client.create_model_version(MODEL, str(tmp_path), run_id=run.info.run_id)
    [summary] = read_history(MODEL)
    assert summary.general == {"stsb"}
