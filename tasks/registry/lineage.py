"""Lineage of registered versions: champion metadata, and the workspace files that versions need."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.corpus.profile import PROFILE, CorpusProfile, parse_profile
from mirror.errors import StoreError
from mirror.maintenance.garbage_collection import References
from mirror.release.lineage import LINEAGE, parse_lineage, stage_keys
from tasks.registry.client import all_pages, open_store
from tasks.registry.versions import find_version, read_aliases, resolve_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

PROFILE_FOLDER = "corpus"
"""Artifact folder of a run with the profile of its corpus."""


@dataclass(frozen=True)
class ChampionMetadata:
    """Digests of a version's inputs, and the profile of its corpus."""

    version: str
    recipe_digest: str
    base_digest: str
    pairs_digest: str
    """Empty without labelled pairs."""
    profile: CorpusProfile | None


def fetch_metadata(model: str, *, alias: str = "", version: str = "") -> ChampionMetadata | None:
    """Return the metadata of the version of that alias or number, or None if there is none.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: the profile is damaged.
    """
    with open_store() as client:
        number = version or read_aliases(client, model).get(alias)
        record = find_version(client, model, number)
        if record is None:
            return None
        tags = record.tags
        return ChampionMetadata(
            version=str(record.version),
            recipe_digest=tags.get("recipe_digest", ""),
            base_digest=tags.get("base_digest", ""),
            pairs_digest=tags.get("pairs_digest", ""),
            profile=_read_profile(client, record),
        )


def fetch_lineage(uri: str) -> dict[str, Any]:
    """Return the lineage of a registered model such as `models:/NAME/3`.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
        StoreError: the version has no lineage, or a damaged one.
    """
    with open_store() as client:
        lineage = _read_lineage(client, resolve_uri(client, uri))
    if lineage is None:
        raise StoreError(
            f"{uri} has no lineage, so this project did not register it: name another version, or "
            "a run of its recipe"
        )
    return lineage


def registry_references() -> References:
    """Return the stages, encoders and local copies that versions with an alias need, of all models.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a lineage is damaged, so its references are unknown.
    """
    with open_store() as client:
        references = References()
        for model in all_pages(client.search_registered_models):
            for number in sorted(set(read_aliases(client, model.name).values())):
                references |= _version_references(client, model.name, number)
    return references


def _version_references(client: MlflowClient, name: str, number: str) -> References:
    copies = frozenset({(name, number)})
    version = find_version(client, name, number)
    lineage = _read_lineage(client, version) if version else None
    if version is None or lineage is None:
        return References(versions=copies)
    encoder = version.tags.get("encoder_digest")
    encoders = frozenset({encoder} if encoder else ())
    return References(frozenset(stage_keys(lineage)), encoders, copies)


def _read_lineage(client: MlflowClient, version: ModelVersion) -> dict[str, Any] | None:
    label = f"{version.name} version {version.version}"
    content = _read_artifact(client, version, LINEAGE, f"the lineage of {label}")
    return None if content is None else parse_lineage(content, label)


def _read_profile(client: MlflowClient, version: ModelVersion) -> CorpusProfile | None:
    label = f"the corpus profile of {version.name} version {version.version}"
    content = _read_artifact(client, version, f"{PROFILE_FOLDER}/{PROFILE}", label)
    return None if content is None else parse_profile(content, label)


def _read_artifact(client: MlflowClient, version: ModelVersion, artifact: str, label: str) -> Any:
    """Return the content of a JSON artifact of a version's run, or None if there is none."""
    run_id = str(version.run_id)
    parent = str(Path(artifact).parent) if "/" in artifact else None
    if artifact not in [file.path for file in client.list_artifacts(run_id, parent)]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run_id, artifact, folder))
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{label} cannot be read ({error}): run the recipe without --if-changed"
            ) from error
