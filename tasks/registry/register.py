"""What MLflow keeps of a candidate: the run with its evidence, and the model version."""

from __future__ import annotations

import io
import logging
import os
from contextlib import redirect_stderr
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from mirror.corpus.profile import PROFILE
from mirror.recipe import Recipe
from mirror.release.index_compatibility import COMPATIBILITY, MAP, PAGE
from mirror.release.lineage import LINEAGE
from tasks.registry.candidate import RegistrationCandidate, registration_tags
from tasks.registry.client import sqlite_file
from tasks.registry.origins import PROFILE_FOLDER

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

METRICS_AT_ONCE = 1_000
_STDERR_LOCK = Lock()


def end_killed_runs(client: MlflowClient, recipe: Recipe, owner: str) -> None:
    """Ends runs of the recipe that killed runs in this workspace left unfinished.

    Call it where no other can be recording: under the workspace's lock of the recipe's model.
    """
    experiment = client.get_experiment_by_name(recipe.name)
    if experiment is None:
        return
    tags = " and ".join(f"tags.{key} = '{value}'" for key, value in _recorder(recipe, owner))
    unfinished = f"attributes.status = 'RUNNING' and {tags}"
    for run in client.search_runs([experiment.experiment_id], unfinished):
        client.set_terminated(run.info.run_id, "KILLED")
        log.info("MLflow's run %s was left by one that was killed", run.info.run_id)


@dataclass(frozen=True)
class Recorded:
    """A run with its evidence and its encoder, which is no version yet."""

    run_id: str
    encoder: str
    """Its address, `models:/` and the number of the logged model."""


def record_run(client: MlflowClient, candidate: RegistrationCandidate, owner: str) -> Recorded:
    """Logs the candidate's run, its encoder included."""
    import mlflow

    from mirror.encoders.model_loading import quiet_transformers

    recipe, tags = candidate.recipe, registration_tags(candidate)
    experiment = _experiment(client, recipe.name)
    every = {**tags, **dict(_recorder(recipe, owner))}
    with mlflow.start_run(experiment_id=experiment, run_name=recipe.name, tags=every) as run:
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
        if kin := candidate.results.compatibility:
            for name in (COMPATIBILITY, PAGE, MAP):
                mlflow.log_artifact(str(kin.path / name), kin.stage)
        with quiet_transformers():
            return Recorded(run.info.run_id, _log_encoder(candidate.encoder))


def add_version(candidate: RegistrationCandidate, recorded: Recorded) -> ModelVersion:
    """Registers what was recorded as a version without alias."""
    import mlflow

    name, tags = candidate.recipe.registry.model, registration_tags(candidate)
    # It prints what the command says itself.  Standard error is the whole process's: two threads
    # that put it away and back at once would leave it away.
    with _STDERR_LOCK, redirect_stderr(io.StringIO()):
        return mlflow.register_model(recorded.encoder, name, 0, tags=tags)


def drop_run(client: MlflowClient, recorded: Recorded, version: ModelVersion) -> None:
    """Deletes a run that was recorded in vain: its encoder is a version of another's."""
    client.set_tag(recorded.run_id, "same_as", f"models:/{version.name}/{version.version}")
    client.delete_logged_model(recorded.encoder.removeprefix("models:/"))
    client.delete_run(recorded.run_id)
    log.info(
        "%s version %s is this encoder, registered from another workspace meanwhile: MLflow's run "
        "%s is deleted",
        version.name,
        version.version,
        recorded.run_id,
    )


def _recorder(recipe: Recipe, owner: str) -> tuple[tuple[str, str], ...]:
    """Tags of a run from its first moment: by whom it is recorded, and under which lock."""
    return (("workspace", owner), ("registered_model", recipe.registry.model))


def _log_encoder(folder: Path) -> str:
    import shutil

    import mlflow
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from sentence_transformers import SentenceTransformer

    from tasks.requirements import pinned_requirements

    encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    example = ["a short text"]
    vectors = encoder.encode(example)

    # What is registered is what was measured, byte for byte.  Saved anew it would get the compact
    # pooling settings, which some servers misread.
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
    for start in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(run_id, metrics[start : start + METRICS_AT_ONCE])


def _datasets(candidate: RegistrationCandidate) -> list[DatasetInput]:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    made = candidate.results
    return [
        DatasetInput(
            Dataset(record.stage, record.digest[:36], "local", record.folder),
            [InputTag("mlflow.data.context", context), InputTag("sha256", record.digest)],
        )
        for record, context in ((made.corpus, "corpus"), (made.sample, "tuning"))
    ]


def _experiment(client: MlflowClient, name: str) -> str:
    from mlflow.exceptions import MlflowException

    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    file = sqlite_file(os.environ["MLFLOW_TRACKING_URI"])
    # The default would be a folder in the current one.
    place = (file.parent / "mlflow-artifacts" / name).as_uri() if file else None
    try:
        return str(client.create_experiment(name, place))
    except MlflowException:
        if found := client.get_experiment_by_name(name):  # another run was quicker
            return str(found.experiment_id)
        raise
