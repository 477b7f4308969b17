"""MLflow run of a registration: parameters, metrics, artifacts, the encoder and its version."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version as installed_version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mirror.corpus.profile import PROFILE
from mirror.recipe import Recipe
from mirror.release.index_compatibility import COMPATIBILITY, MAP, PAGE
from mirror.release.lineage import LINEAGE
from tasks.registry.candidate import RegistrationCandidate, registration_tags
from tasks.registry.client import sqlite_file
from tasks.registry.lineage import PROFILE_FOLDER

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

METRICS_PER_REQUEST = 1_000
_STDERR_LOCK = Lock()

REQUIREMENTS = (
    "mlflow",
    "sentence-transformers",
    "transformers",
    "torch",
    "tokenizers",
    "safetensors",
    "numpy",
)
"""Packages that loading a registered encoder needs."""


def end_killed_runs(client: MlflowClient, recipe: Recipe, owner: str) -> None:
    """Mark MLflow runs that killed commands of this workspace left unfinished as KILLED.

    The caller holds `registry_lock`, so none of them can still be running.
    """
    experiment = client.get_experiment_by_name(recipe.name)
    if experiment is None:
        return
    tags = " and ".join(f"tags.{key} = '{value}'" for key, value in _owner_tags(recipe, owner))
    unfinished = f"attributes.status = 'RUNNING' and {tags}"
    for run in client.search_runs([experiment.experiment_id], unfinished):
        client.set_terminated(run.info.run_id, "KILLED")
        log.info("MLflow run %s was left unfinished by a killed command", run.info.run_id)


@dataclass(frozen=True)
class LoggedRun:
    """An MLflow run with its encoder, which is not registered yet."""

    run_id: str
    encoder_uri: str
    """`models:/` and the ID of the logged model."""


def log_run(client: MlflowClient, candidate: RegistrationCandidate, owner: str) -> LoggedRun:
    """Log the candidate's run, including its encoder."""
    import mlflow

    from mirror.encoders.model_loading import quiet_transformers

    recipe, tags = candidate.recipe, registration_tags(candidate)
    experiment = _experiment(client, recipe.name)
    tags |= dict(_owner_tags(recipe, owner))
    with mlflow.start_run(experiment_id=experiment, run_name=recipe.name, tags=tags) as run:
        mlflow.log_params(candidate.params())
        _log_metrics(client, run.info.run_id, candidate)
        client.log_inputs(run.info.run_id, _datasets(candidate))
        mlflow.log_artifact(str(candidate.report))
        mlflow.log_dict(candidate.verdict_content(), "verdict.json")
        mlflow.log_dict(candidate.lineage(), LINEAGE)
        if profile := candidate.results.profile:
            mlflow.log_artifact(str(profile.path / PROFILE), PROFILE_FOLDER)
        if drift := candidate.results.drift:
            mlflow.log_dict(asdict(drift), f"{PROFILE_FOLDER}/drift.json")
        if compatibility := candidate.results.compatibility:
            for name in (COMPATIBILITY, PAGE, MAP):
                mlflow.log_artifact(str(compatibility.path / name), compatibility.stage)
        with quiet_transformers():
            return LoggedRun(run.info.run_id, _log_encoder(candidate.encoder))


def add_version(candidate: RegistrationCandidate, logged: LoggedRun) -> ModelVersion:
    """Register a logged encoder as a version without alias."""
    import mlflow

    name, tags = candidate.recipe.registry.model, registration_tags(candidate)
    # MLflow prints to standard error, which belongs to the whole process: without the lock, two
    # threads that redirect it at once would leave it redirected.
    with _STDERR_LOCK, redirect_stderr(io.StringIO()):
        return mlflow.register_model(logged.encoder_uri, name, 0, tags=tags)


def delete_run(client: MlflowClient, logged: LoggedRun, version: ModelVersion) -> None:
    """Delete a logged run whose encoder another workspace registered meanwhile as `version`."""
    client.set_tag(logged.run_id, "same_as", f"models:/{version.name}/{version.version}")
    client.delete_logged_model(logged.encoder_uri.removeprefix("models:/"))
    client.delete_run(logged.run_id)
    log.info(
        "%s version %s is this encoder, registered from another workspace meanwhile: MLflow run "
        "%s is deleted",
        version.name,
        version.version,
        logged.run_id,
    )


def _owner_tags(recipe: Recipe, owner: str) -> tuple[tuple[str, str], ...]:
    """Return the tags by which `end_killed_runs` finds a run, set when the run is created."""
    return (("workspace", owner), ("registered_model", recipe.registry.model))


def _log_encoder(folder: Path) -> str:
    import shutil

    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    example = ["a short text"]
    vectors = encoder.encode(example)

    # Register the files that were evaluated, byte for byte.  Saving the model again would write
    # compact pooling settings, which some servers misread.
    vars(encoder)["save"] = partial(shutil.copytree, folder)
    logged = mlflow.sentence_transformers.log_model(
        encoder,
        name="encoder",
        signature=ModelSignature(
            inputs=Schema([ColSpec("string")]),
            outputs=Schema([TensorSpec(vectors.dtype, (-1, vectors.shape[1]))]),
        ),
        input_example=example,
        pip_requirements=pinned_requirements(),
    )
    return str(logged.model_uri)


def _log_metrics(client: MlflowClient, run_id: str, candidate: RegistrationCandidate) -> None:
    from mlflow.entities import Metric

    metrics = [Metric(*metric) for metric in candidate.metrics()]
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(run_id, metrics[start : start + METRICS_PER_REQUEST])


def _datasets(candidate: RegistrationCandidate) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    results = candidate.results
    return [
        DatasetInput(
            Dataset(record.stage, record.digest[:36], "local", record.folder),
            [InputTag("mlflow.data.context", context), InputTag("sha256", record.digest)],
        )
        for record, context in ((results.corpus, "corpus"), (results.sample, "tuning"))
    ]


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if experiment := client.get_experiment_by_name(name):
        return str(experiment.experiment_id)
    file = sqlite_file(os.environ["MLFLOW_TRACKING_URI"])
    # MLflow's default would be a folder in the current folder.
    location = (file.parent / "mlflow-artifacts" / name).as_uri() if file else None
    try:
        return str(client.create_experiment(name, location))
    except MlflowException:
        if experiment := client.get_experiment_by_name(name):  # another run created it meanwhile
            return str(experiment.experiment_id)
        raise


def pinned_requirements() -> list[str]:
    """Return the installed versions of the packages that loading the encoder needs.

    Local versions such as torch's `+cpu` are cut: package indexes do not have them.
    """
    return [f"{name}=={installed_version(name).partition('+')[0]}" for name in REQUIREMENTS]
