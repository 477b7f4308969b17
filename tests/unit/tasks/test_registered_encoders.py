"""What is registered, as those meet it who only have MLflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from mirror.errors import BaseModelError, InputError, ServiceError
from mirror.store import folder_digest
from tasks import registry
from tasks.registry import check_registry, fetch_model
from tasks.registry.candidate import RegistrationCandidate
from tasks.registry.client import sqlite_file

MODEL = "mirror-en-trades"
CONSUMER = """
import sys
for name in ("mirror", "tasks", "flows"):
    sys.modules[name] = None  # as where only MLflow and sentence-transformers are installed
import mlflow
import numpy as np
from sentence_transformers import SentenceTransformer
texts = ["the baker sells a red lantern", "", "one wet letter"]
vectors = mlflow.pyfunc.load_model("models:/mirror-en-trades@champion").predict(texts)
expected = SentenceTransformer(sys.argv[1], device="cpu").encode(texts)
assert vectors.shape == (3, 32) and vectors.dtype == np.float32, (vectors.shape, vectors.dtype)
np.testing.assert_array_equal(vectors, expected)
print("the same vectors")
"""


@pytest.fixture
def registered(
    make_candidate: Callable[..., RegistrationCandidate], workspace: Path, tracking: str
) -> RegistrationCandidate:
    """The champion, version 1."""
    candidate = make_candidate(1)
    registry.register_encoder.fn(candidate, workspace)
    return candidate


@pytest.mark.slow
def test_mlflow_alone_gives_the_encoders_vectors(
    registered: RegistrationCandidate, tracking: str, tmp_path: Path
) -> None:
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, str(registered.encoder)],
        cwd=tmp_path,
        env=kept | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.endswith("the same vectors\n"), done.stderr


def test_weights_are_registered_as_safetensors_and_nothing_is_pickled(
    registered: RegistrationCandidate, workspace: Path
) -> None:
    files = [path for path in (workspace / "mlflow-artifacts").rglob("*") if path.is_file()]
    assert [path.name for path in files if path.suffix == ".safetensors"] == ["model.safetensors"]
    text = {".json", ".txt", ".yaml", ".yml", ".html", ".md", "", ".safetensors"}
    assert {path.suffix for path in files} - text == set()


@pytest.mark.parametrize("query", ["", "?timeout=30"])
def test_a_store_in_the_current_folder_keeps_its_encoders_beside_it(
    make_candidate: Callable[..., RegistrationCandidate],
    workspace: Path,
    tracking: str,
    query: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(workspace)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///mlflow.db{query}")
    candidate = make_candidate(0)
    registry.register_encoder.fn(candidate, workspace)
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


@pytest.mark.parametrize(
    ("uri", "file"),
    [
        ("sqlite:////var/runs/mlflow.db", "/var/runs/mlflow.db"),
        ("sqlite+pysqlite:////var/mlflow.db?mode=rw", "/var/mlflow.db"),
        ("sqlite:///file:/var/mlflow.db?uri=true", "/var/mlflow.db"),
        ("sqlite:///runs.db", str(Path("runs.db").absolute())),
        ("sqlite://", None),
        ("http://host/runs", None),
        ("postgresql:///runs", None),
        ("file:///var/runs", None),
    ],
)
def test_the_file_of_a_store_is_known_by_its_address(uri: str, file: str | None) -> None:
    assert sqlite_file(uri) == (Path(file) if file else None)


def test_consumers_are_told_to_install_the_versions_that_made_it(
    registered: RegistrationCandidate, workspace: Path
) -> None:
    import torch

    [file] = (workspace / "mlflow-artifacts").rglob("requirements.txt")
    lines = file.read_text().splitlines()
    assert f"torch=={torch.__version__.partition('+')[0]}" in lines
    assert all("==" in line and "+" not in line for line in lines)


@pytest.mark.parametrize("uri", [f"models:/{MODEL}@champion", f"models:/{MODEL}/1"])
def test_a_registered_encoder_is_fetched_whole(
    registered: RegistrationCandidate, workspace: Path, uri: str
) -> None:
    folder = fetch_model(uri, workspace)
    assert folder_digest(folder) == folder_digest(registered.encoder)
    [kept] = folder.parent.iterdir()
    assert kept == folder and kept.name.startswith("1-")


def test_a_fetched_encoder_is_not_fetched_again(
    registered: RegistrationCandidate, workspace: Path
) -> None:
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
def test_a_model_that_is_not_there_is_named(
    registered: RegistrationCandidate, workspace: Path, uri: str
) -> None:
    (workspace / "outside" / "1").mkdir(parents=True)
    with pytest.raises(BaseModelError, match=f"has no {uri}: name a registered model as models:/"):
        fetch_model(uri, workspace)
    assert not list(workspace.glob("registered/*/*"))


def test_another_stores_version_of_the_same_number_is_another_encoder(
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
    registry.register_encoder.fn(candidate, workspace)
    second = fetch_model(f"models:/{MODEL}/1", workspace)
    assert folder_digest(second) == folder_digest(candidate.encoder)
    assert folder_digest(first) == folder_digest(registered.encoder)


def test_alias_and_version_are_one_folder(
    registered: RegistrationCandidate, workspace: Path
) -> None:
    fetched = fetch_model(f"models:/{MODEL}@champion", workspace)
    assert fetched.parent == workspace / "registered" / MODEL
    assert fetch_model(f"models:/{MODEL}/1", workspace) == fetched


def test_without_a_champion_there_is_no_encoder(workspace: Path, tracking: str) -> None:
    with pytest.raises(BaseModelError, match=f"has no models:/{MODEL}@champion"):
        fetch_model(f"models:/{MODEL}@champion", workspace)


def test_a_store_that_answers_passes(tracking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    check_registry()
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"


@pytest.mark.parametrize(
    ("uri", "kind", "said"),
    [
        ("http://127.0.0.1:1", ServiceError, "http://127.0.0.1:1 did not answer: "),
        ("http://me:secret@127.0.0.1:1", ServiceError, "http://127.0.0.1:1 did not answer: "),
        ("sqlite:////proc/no/mlflow.db", InputError, "sqlite:////proc/no/mlflow.db cannot be used"),
        ("nonsense://host/runs", InputError, "nonsense://host/runs"),
        ("oracle://host/runs", InputError, "oracle://host/runs"),
    ],
)
def test_a_store_that_cannot_be_used_is_named_without_its_password(
    uri: str, kind: type[Exception], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    with pytest.raises(kind, match="MLFLOW_TRACKING_URI") as fault:
        check_registry()
    assert said in str(fault.value)
    assert "secret" not in str(fault.value)
    assert "\n" not in str(fault.value)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
