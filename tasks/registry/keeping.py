"""What the registry refers to in a workspace: what versions with an alias were made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mirror.maintenance.garbage_collection import References
from mirror.release.lineage import stage_keys
from tasks.registry.client import open_store
from tasks.registry.origins import version_lineage
from tasks.registry.versions import aliases_of, find_version

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def referred_by_registry() -> References:
    """Stages, encoders and copies of all versions that have an alias, of all models.

    Raises:
        ServiceError: the registry does not answer.
        StoreError: a lineage is damaged, so that nobody knows what it refers to.
    """
    with open_store() as client:
        kept = References()
        for name in _models(client):
            for number in sorted(set(aliases_of(client, name).values())):
                kept |= _referred_by(client, name, number)
    return kept


def _models(client: MlflowClient) -> list[str]:
    found: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        found.extend(model.name for model in page)
        token = page.token
        if not token:
            return found


def _referred_by(client: MlflowClient, name: str, number: str) -> References:
    copies = frozenset({(name, number)})
    version = find_version(client, name, number)
    lineage = version_lineage(client, version) if version else None
    if version is None or lineage is None:
        return References(versions=copies)
    encoder = version.tags.get("encoder_digest")
    encoders = frozenset({encoder} if encoder else ())
    return References(frozenset(stage_keys(lineage)), encoders, copies)
