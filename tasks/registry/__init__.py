"""MLflow: the run that is recorded, the version that is registered, and who is champion.

The only package that imports MLflow, and only inside functions: it takes seconds to load.  Versions
are registered, and the two aliases only ever moved, never removed, by one run at a time (`moving`):
so an encoder with its verdict is one version, and a model has one champion from its first promotion
on, whoever else is registering.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from prefect import task

from mirror.encoders.encoder_ref import EncoderRef, folder_encoder_digest
from mirror.errors import BaseModelError, InputError, ServiceError
from mirror.locks import exclusive_lock
from mirror.run_context import RunContext
from mirror.store import digest_of_json
from tasks.network import without_secrets
from tasks.registry import register
from tasks.registry.candidate import Champion, Registration, RegistrationCandidate
from tasks.registry.client import open_store, pages_of, retrying, shown_uri
from tasks.registry.lock import registry_lock, workspace_id
from tasks.registry.succession import THE_GATE, move_now, record_promotion, rolled_back_duplicate
from tasks.registry.versions import (
    AWAITS_APPROVAL,
    CHALLENGER,
    CHAMPION,
    NOT_PROMOTED,
    OVERTAKEN,
    PROMOTED,
    SETTLED,
    aliases_of,
    find_version,
    named_version,
)
from tasks.retries import RETRIES
from tasks.stage_task import cached_task

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)


def check_registry() -> None:
    """Checks that the tracking store answers, within seconds.

    Raises:
        ServiceError: it does not.
        InputError: it answers that it will not serve us, or MLFLOW_TRACKING_URI names none.
    """
    try:
        with retrying(1), open_store() as client:
            client.search_registered_models(max_results=1)
    except (ImportError, OSError) as error:
        raise InputError(
            f"the tracking store {shown_uri()} cannot be used ({without_secrets(str(error))}): "
            "correct MLFLOW_TRACKING_URI, or install what its kind needs"
        ) from error


def fetch_model(uri: str, workspace: Path) -> Path:
    """The folder of a registered model such as `models:/NAME@champion`, copied into the workspace.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
    """
    with open_store() as client:
        return _fetch_version(named_version(client, uri), workspace)


def pin_model(uri: str) -> str:
    """The version that a registered model such as `models:/NAME@champion` is now, by its number.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
    """
    with open_store() as client:
        version = named_version(client, uri)
        return f"models:/{version.name}/{version.version}"


@task(task_run_name="find_champion", **RETRIES)
def find_champion(run: RunContext, encoder: EncoderRef) -> Champion | None:
    """The encoder to beat: today's champion, or what today's champion beat if it is this encoder.

    So a run that is repeated compares what it compared before, and comes to the same verdict.

    Args:
        run: its recipe names the model, and the champion is copied into its workspace.
        encoder: the new encoder.
    """
    name = run.recipe.registry.model
    with open_store() as client:
        version = find_version(client, name, aliases_of(client, name).get(CHAMPION))
        if version is not None and version.tags.get("encoder_digest") == encoder.digest:
            version = _beaten_by(client, version)
        if version is None:
            return None
        folder = _fetch_version(version, run.workspace)
    return Champion(
        str(folder),
        folder_encoder_digest(folder),
        f"models:/{name}/{version.version}",
        version=str(version.version),
    )


def _beaten_by(client: MlflowClient, champion: ModelVersion) -> ModelVersion | None:
    number = champion.tags.get("compared_with")
    beaten = find_version(client, champion.name, number)
    if number and beaten is None:
        log.warning(
            "%s version %s is this encoder; version %s, which it was compared with, was deleted: "
            "it is compared with its base alone",
            champion.name,
            champion.version,
            number,
        )
    return beaten


@cached_task(**RETRIES)
def register_encoder(candidate: RegistrationCandidate, workspace: Path) -> Registration:
    """Registers an encoder with its evidence, and makes it champion if the verdict says so.

    An encoder that is registered with this very verdict is not registered twice, whichever
    workspaces it was made in; was it overtaken, today's champion is looked at anew.
    """
    name = candidate.recipe.registry.model
    owner = workspace_id(workspace)
    with exclusive_lock(workspace / "locks" / f"registry-{name}.lock"), open_store() as client:
        register.end_killed_runs(client, candidate.recipe, owner)
        version = _find_version(client, name, candidate.key)
        reused = version is not None and _is_settled(version)
        if version is None or not reused:
            # What a server made without being heard is found by the task's next try; a request
            # that is sent again would make it twice.
            with retrying(0):
                recorded = None if version else register.record_run(client, candidate, owner)
            with registry_lock(client, name, owner) as check:
                version = _version_of(client, candidate, recorded, check)
                if not (reused := _is_settled(version)):
                    _move_aliases(client, candidate, version, check)
        version = client.get_model_version(name, version.version)
        registration = _describe(client, version, reused)
    log.info("%s", registration.text)
    return registration


def _version_of(
    client: MlflowClient,
    candidate: RegistrationCandidate,
    recorded: register.Recorded | None,
    check: Callable[[], None],
) -> ModelVersion:
    """The candidate's only version; call it where nobody else registers."""
    name = candidate.recipe.registry.model
    # While a run is being recorded, one in another workspace may have registered its encoder.
    if version := _find_version(client, name, candidate.key):
        if recorded:
            register.drop_run(client, recorded, version)
        return version
    if recorded is None:
        raise ServiceError(
            f"a version of {name} was deleted while this run was about to settle it: run again"
        )
    check()
    with retrying(0):
        return register.add_version(candidate, recorded)


def _is_settled(version: ModelVersion) -> bool:
    """Whether its aliases have been seen to, and no other encoder has overtaken it."""
    return not version.tags.get(SETTLED, OVERTAKEN).startswith(OVERTAKEN)


def _move_aliases(
    client: MlflowClient,
    candidate: RegistrationCandidate,
    version: ModelVersion,
    check: Callable[[], None],
) -> None:
    name, number = candidate.recipe.registry.model, str(version.version)
    client.update_model_version(name, number, candidate.verdict_text())
    client.set_registered_model_alias(name, CHALLENGER, number)
    today = aliases_of(client, name).get(CHAMPION)
    compared = candidate.champion.version if candidate.champion else None
    outcome = NOT_PROMOTED
    rivals = (compared, number)
    if candidate.verdict.promote and today not in rivals and not _is_same(client, candidate, today):
        # Another run was quicker: this encoder has not been compared with that champion.
        outcome = f"{OVERTAKEN} by version {today}"
    elif candidate.verdict.promote and candidate.recipe.evaluation.gate.require_approval:
        outcome = AWAITS_APPROVAL
    elif candidate.verdict.promote and (twin := rolled_back_duplicate(client, version)):
        # A person's word is not undone by a schedule that makes the same encoder again.
        outcome = f"{AWAITS_APPROVAL}: version {twin}, the same encoder, was rolled back"
    elif candidate.verdict.promote:
        record_promotion(client, version, today, move_now(PROMOTED, THE_GATE), check)
        outcome = PROMOTED
    client.set_model_version_tag(name, number, SETTLED, outcome)


def _is_same(client: MlflowClient, candidate: RegistrationCandidate, number: str | None) -> bool:
    """Whether a version is the candidate's own encoder, measured otherwise than now."""
    if number is None:
        return False
    tags = client.get_model_version(candidate.recipe.registry.model, number).tags
    return bool(tags.get("encoder_digest") == candidate.digest)


def _describe(client: MlflowClient, version: ModelVersion, reused: bool) -> Registration:
    name, outcome = version.name, version.tags[SETTLED]
    champion = aliases_of(client, name).get(CHAMPION)
    text = f"{name} version {version.version}: {outcome}"
    if outcome.startswith(OVERTAKEN):
        text += "; run again to be compared with it"
    text += f"; champion is version {champion}" if champion else "; there is no champion yet"
    return Registration(
        model=name,
        version=str(version.version),
        champion=champion,
        outcome=outcome,
        run_id=str(version.run_id),
        text=f"{text} (registered before; reused)" if reused else text,
        reused=reused,
        pages=pages_of(client, version),
    )


def _find_version(client: MlflowClient, name: str, key: str) -> ModelVersion | None:
    found = client.search_model_versions(f"name = '{name}' and tag.registration_key = '{key}'")
    return max(found, key=lambda version: int(version.version), default=None)


def _fetch_version(version: ModelVersion, workspace: Path) -> Path:
    import shutil
    import tempfile

    from mlflow.artifacts import download_artifacts

    name, number = version.name, version.version
    # Another store has another version of this number.
    mark = digest_of_json([version.run_id, version.source])[:12]
    place = workspace / "registered" / name / f"{number}-{mark}"
    with exclusive_lock(workspace / "locks" / f"fetch-{name}-{place.name}.lock"):
        if not place.is_dir():
            place.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=place.parent) as beside:
                download_artifacts(artifact_uri=f"models:/{name}/{number}", dst_path=beside)
                configs = sorted(
                    Path(beside).rglob("config.json"), key=lambda path: len(path.parts)
                )
                if not configs:
                    raise BaseModelError(f"{name} version {number} holds no transformer model")
                shutil.move(configs[0].parent, place)
        os.utime(place)  # when it was last used, for `mirror.maintenance.garbage_collection`
    return place
