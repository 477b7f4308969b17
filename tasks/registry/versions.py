"""Versions of a registered model: lookup, promotion status, local copies and history."""

from __future__ import annotations

import logging
import os
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mirror.errors import BaseModelError, InputError
from mirror.hashing import digest_of_json
from mirror.locks import exclusive_lock
from tasks.registry.client import all_pages, open_store, or_none, shown_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

CHAMPION = "champion"
CHALLENGER = "challenger"

PROMOTION_STATUS = "promotion_status"
"""Version tag, written last: a version without it belongs to an unfinished run."""
BASE_ENCODER = "base_encoder_digest"
"""Version tag: the `encoder_digest` of the registered model that it was tuned from."""
PROMOTED = "promoted"
NOT_PROMOTED = "not promoted"
SUPERSEDED = "superseded"
"""Another encoder became champion before this one was compared with it."""
PENDING_APPROVAL = "pending approval"
ROLLED_BACK = "rolled back"

REFUSED = "refused"
RUN_NOT_ENDED = "its run has not ended"

URI = re.compile(r"models:/(?!\.\.?[@/])([^/@]+)(?:@([^/@]+)|/([1-9][0-9]{0,8}))")
"""MLflow's stages and `latest` are not accepted: they can change between two requests."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""The pattern of a recipe's registry.model: names become part of paths and queries."""


def check_name(name: str) -> str:
    """Return a model's name."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is not a model name: give one as in a recipe's registry.model, such as "
            "mirror-en-python-docs"
        )
    return name


def read_aliases(client: MlflowClient, name: str) -> dict[str, str]:
    """Return the version number of each alias; empty if there is no such model."""
    model = or_none(lambda: client.get_registered_model(name))
    return {key: str(value) for key, value in model.aliases.items()} if model else {}


def find_version(client: MlflowClient, name: str, number: str | None) -> ModelVersion | None:
    """Return the version of that number, or None."""
    return or_none(lambda: client.get_model_version(name, number)) if number else None


def resolve_uri(client: MlflowClient, uri: str) -> ModelVersion:
    """Return the version that `models:/NAME@ALIAS` or `models:/NAME/VERSION` names."""
    version = None
    if match := URI.fullmatch(uri):
        name, alias, number = match.groups()
        version = find_version(client, name, number or read_aliases(client, name).get(alias))
    if version is None:
        raise BaseModelError(
            f"the registry at {shown_uri()} has no {uri}: name a registered model as "
            "models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    return version


def list_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Return every version, oldest first; raise InputError if there is none."""
    search = partial(client.search_model_versions, f"name = '{name}'")
    versions = [*all_pages(search)]
    if not versions:
        raise InputError(
            f"the registry at {shown_uri()} has no version of {name}: run its recipe, or name "
            "another registry with MLFLOW_TRACKING_URI"
        )
    return sorted(versions, key=lambda version: int(version.version))


def is_same_encoder(version: ModelVersion, other: ModelVersion) -> bool:
    """Return whether two versions have the same encoder digest."""
    digest = version.tags.get("encoder_digest")
    return digest is not None and bool(digest == other.tags.get("encoder_digest"))


def pin_model(uri: str) -> str:
    """Return `models:/NAME/VERSION` for a registered model such as `models:/NAME@champion`.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
    """
    with open_store() as client:
        version = resolve_uri(client, uri)
        return f"models:/{version.name}/{version.version}"


def fetch_model(uri: str, workspace: Path) -> Path:
    """Return the folder in the workspace to which a registered model is downloaded, once.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
    """
    with open_store() as client:
        return fetch_version(resolve_uri(client, uri), workspace)


def fetch_version(version: ModelVersion, workspace: Path) -> Path:
    """Return the folder in the workspace to which a version is downloaded, once."""
    import shutil
    import tempfile

    from mlflow.artifacts import download_artifacts

    name, number = version.name, version.version
    # Another tracking store may have another version of the same number.
    source_digest = digest_of_json([version.run_id, version.source])[:12]
    folder = workspace / "registered" / name / f"{number}-{source_digest}"
    with exclusive_lock(workspace / "locks" / f"fetch-{name}-{folder.name}.lock"):
        if not folder.is_dir():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as download:
                download_artifacts(artifact_uri=f"models:/{name}/{number}", dst_path=download)
                configs = sorted(
                    Path(download).rglob("config.json"), key=lambda path: len(path.parts)
                )
                if not configs:
                    raise BaseModelError(f"{name} version {number} holds no transformer model")
                shutil.move(configs[0].parent, folder)
        os.utime(folder)  # the time of last use, read by mirror.maintenance.garbage_collection
    return folder
