"""What today's champion was made from, as the registry tells it."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.corpus.profile import PROFILE, CorpusProfile, parse_profile
from mirror.errors import StoreError
from mirror.release.lineage import LINEAGE, parse_lineage
from tasks.registry.client import NOT_THERE, open_store
from tasks.registry.versions import named_version

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

PROFILE_FOLDER = "corpus"
"""Where a version's run keeps the profile of the corpus it was made from."""


@dataclass(frozen=True)
class ChampionMetadata:
    """Where a champion comes from."""

    version: str
    recipe_digest: str
    base_digest: str
    corpus_digest: str
    pairs_digest: str
    """Empty where there were no labelled pairs."""
    profile: CorpusProfile | None
    """Nothing for a version that was registered without one."""


def find_origin(model: str, *, alias: str = "", version: str = "") -> ChampionMetadata | None:
    """The origin of the version of that alias or number; nothing if there is none.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: what it keeps is damaged.
    """
    from mlflow.exceptions import MlflowException

    with open_store() as client:
        try:
            found = (
                client.get_model_version_by_alias(model, alias)
                if alias
                else client.get_model_version(model, version)
            )
        except MlflowException as error:
            if error.error_code in (NOT_THERE, "INVALID_PARAMETER_VALUE"):
                return None
            raise
        tags = found.tags
        return ChampionMetadata(
            version=str(found.version),
            recipe_digest=tags.get("recipe_digest", ""),
            base_digest=tags.get("base_digest", ""),
            corpus_digest=tags.get("corpus_digest", ""),
            pairs_digest=tags.get("pairs_digest", ""),
            profile=_profile(client, str(found.run_id), f"{model} version {found.version}"),
        )


def _profile(client: MlflowClient, run_id: str, whose: str) -> CorpusProfile | None:
    what = f"the corpus profile of {whose}"
    content = _artifact(client, run_id, f"{PROFILE_FOLDER}/{PROFILE}", what)
    return None if content is None else parse_profile(content, what)


def _artifact(client: MlflowClient, run_id: str, artifact: str, what: str) -> Any:
    """A JSON file of a run; nothing if the run has none of that name."""
    above = str(Path(artifact).parent) if "/" in artifact else None
    if artifact not in [file.path for file in client.list_artifacts(run_id, above)]:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(client.download_artifacts(run_id, artifact, folder))
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(
                f"{what} cannot be read ({error}): run the recipe without --if-changed"
            ) from error


def find_lineage(uri: str) -> dict[str, Any]:
    """The lineage of a registered model such as `models:/NAME/3`.

    Raises:
        BaseModelError: there is no such model, version or alias.
        ServiceError: the registry does not answer.
        StoreError: the version was registered without a lineage, or with a damaged one.
    """
    with open_store() as client:
        version = named_version(client, uri)
        lineage = version_lineage(client, version)
    if lineage is None:
        raise StoreError(
            f"{uri} was registered without a lineage, by an older version of this project: name "
            "another version, or a run of its recipe"
        )
    return lineage


def version_lineage(client: MlflowClient, version: ModelVersion) -> dict[str, Any] | None:
    """The lineage of a model version; nothing if it was registered without one.

    Raises:
        StoreError: it is damaged.
    """
    whose = f"{version.name} version {version.version}"
    content = _artifact(client, str(version.run_id), LINEAGE, f"the lineage of {whose}")
    return None if content is None else parse_lineage(content, whose)
