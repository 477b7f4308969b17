"""Registration of an encoder: one version per encoder and verdict, promoted if the gate says so."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from mirror.atomic_write import atomic_file
from mirror.locks import exclusive_lock
from mirror.reuse_only import about_to_make
from tasks.registry import run_logging
from tasks.registry.candidate import Registration, RegistrationCandidate
from tasks.registry.champion import (
    champion_to_compare,
    change_now,
    rolled_back_duplicate,
    set_champion,
)
from tasks.registry.client import registry_lock, retry_requests, web_pages
from tasks.registry.remembered_answers import (
    RegistryAnswers,
    recall,
    registry_state,
    remember,
)
from tasks.registry.versions import (
    CHALLENGER,
    CHAMPION,
    NOT_PROMOTED,
    PENDING_APPROVAL,
    PROMOTED,
    PROMOTION_STATUS,
    SUPERSEDED,
    find_version,
    read_aliases,
)
from tasks.retries import RETRIES
from tasks.stage_task import cached_task

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

THE_GATE = "the gate"


@cached_task(**RETRIES)
def register(candidate: RegistrationCandidate, workspace: Path) -> Registration:
    """Register an encoder, and make it champion if the verdict says so.

    An encoder that is registered with the same verdict is not registered again.

    Two workspaces on one tracking server that register the same encoder at once both take the
    older version, and the younger is deleted.  Two encoders can be promoted within milliseconds on
    a comparison with the same champion; the alias then points to the later one.  On an SQLite
    store a lock prevents that.
    """
    name = candidate.recipe.registry.model
    answers = recall(name, workspace)
    if answers and answers.key == candidate.key:
        registration = answers.registration
    else:
        with registry_lock(name, workspace) as client:
            registration = _register(client, candidate, workspace)
            _remember(client, candidate, registration, workspace)
    log.info("%s", registration.text)
    return registration


def workspace_id(workspace: Path) -> str:
    """Return a workspace's random ID, which stays the same when the folder is moved."""
    path = workspace / "id"
    with exclusive_lock(workspace / "locks" / "id.lock"):
        if not path.is_file():
            with atomic_file(path) as part:
                part.write_text(uuid4().hex, encoding="utf-8")
        return path.read_text(encoding="utf-8")


def _register(
    client: MlflowClient, candidate: RegistrationCandidate, workspace: Path
) -> Registration:
    owner = workspace_id(workspace)
    run_logging.end_killed_runs(client, candidate.recipe, owner)
    version = _find_registered(client, candidate)
    if version is None or not _is_settled(version):
        about_to_make("the registration")
    version = version or _add_version(client, candidate, owner)
    if not (reused := _is_settled(version)):
        _settle(client, candidate, version)
    version = client.get_model_version(version.name, version.version)
    return _describe(client, version, reused)


def _remember(
    client: MlflowClient,
    candidate: RegistrationCandidate,
    registration: Registration,
    workspace: Path,
) -> None:
    """Keep what the registry would answer if the run were repeated."""
    state = registry_state()
    if state is None:
        return
    version = client.get_model_version(registration.model, registration.version)
    if not _is_settled(version):
        return
    champion = champion_to_compare(client, version.name, candidate.digest, workspace)
    again = _describe(client, version, reused=True)
    remember(RegistryAnswers(candidate.digest, champion, candidate.key, again), workspace, state)


def _add_version(
    client: MlflowClient, candidate: RegistrationCandidate, owner: str
) -> ModelVersion:
    # If an answer is lost, the request must not be repeated: the server has already created the
    # run or version.  The task's next try looks for it first.
    with retry_requests(0):
        logged = run_logging.log_run(client, candidate, owner)
    # Another workspace may have registered the same encoder while this one was uploading it.
    if version := _find_registered(client, candidate):
        run_logging.delete_run(client, logged, version)
        return version
    with retry_requests(0):
        version = run_logging.add_version(candidate, logged)
    # Or while this one was adding its version: the server numbers one after the other, so
    # whichever came second sees the first.
    first = _find_registered(client, candidate) or version
    if first.version != version.version:
        client.delete_model_version(version.name, version.version)
        run_logging.delete_run(client, logged, first)
    return first


def _settle(client: MlflowClient, candidate: RegistrationCandidate, version: ModelVersion) -> None:
    """Describe a version, move the aliases, and write its promotion status last."""
    name, number = version.name, str(version.version)
    client.update_model_version(name, number, candidate.verdict_text())
    client.set_registered_model_alias(name, CHALLENGER, number)
    champion = read_aliases(client, name).get(CHAMPION)
    status = _decide_status(client, candidate, version, champion)
    if status == PROMOTED:
        set_champion(client, version, champion, change_now(PROMOTED, THE_GATE))
    else:
        client.set_model_version_tag(name, number, PROMOTION_STATUS, status)


def _decide_status(
    client: MlflowClient,
    candidate: RegistrationCandidate,
    version: ModelVersion,
    champion: str | None,
) -> str:
    if not candidate.verdict.promote:
        return NOT_PROMOTED
    compared = candidate.champion.version if candidate.champion else None
    if champion and champion not in (compared, str(version.version)):
        current = find_version(client, version.name, champion)
        # The champion may be this encoder, registered with another verdict.
        if current is None or current.tags.get("encoder_digest") != candidate.digest:
            return f"{SUPERSEDED} by version {champion}"
    if candidate.recipe.evaluation.gate.require_approval:
        return PENDING_APPROVAL
    if duplicate := rolled_back_duplicate(client, version):
        # A scheduled run that makes the same encoder again must not undo a person's rollback.
        return f"{PENDING_APPROVAL}: version {duplicate}, the same encoder, was rolled back"
    return PROMOTED


def _is_settled(version: ModelVersion) -> bool:
    """Return whether a version has its final status; a superseded one is decided again."""
    return not version.tags.get(PROMOTION_STATUS, SUPERSEDED).startswith(SUPERSEDED)


def _find_registered(client: MlflowClient, candidate: RegistrationCandidate) -> ModelVersion | None:
    """Return the oldest version with the candidate's key, or None."""
    name = candidate.recipe.registry.model
    query = f"name = '{name}' and tag.registration_key = '{candidate.key}'"
    versions = client.search_model_versions(query)
    return min(versions, key=lambda version: int(version.version), default=None)


def _describe(client: MlflowClient, version: ModelVersion, reused: bool) -> Registration:
    name, status = version.name, version.tags[PROMOTION_STATUS]
    champion = read_aliases(client, name).get(CHAMPION)
    text = f"{name} version {version.version}: {status}"
    if status.startswith(SUPERSEDED):
        text += "; run again to be compared with it"
    text += f"; champion is version {champion}" if champion else "; there is no champion yet"
    return Registration(
        model=name,
        version=str(version.version),
        champion=champion,
        outcome=status,
        run_id=str(version.run_id),
        text=f"{text} (registered before; reused)" if reused else text,
        reused=reused,
        pages=web_pages(client, version),
    )
