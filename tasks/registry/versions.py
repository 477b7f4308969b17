"""Versions of a registered model: which there are, and what they are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mirror.errors import BaseModelError, InputError
from tasks.registry.client import NOT_THERE, shown_uri

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

URI = re.compile(r"models:/(?!\.\.?[@/])([^/@]+)(?:@([^/@]+)|/([1-9][0-9]{0,8}))")
"""Stages, and `latest`, are left out: what they mean can change between two looks."""
CHAMPION = "champion"
CHALLENGER = "challenger"
SETTLED = "settled"
"""Tag of a version whose aliases have been seen to, so that a killed run's are seen to later."""
PROMOTED = "promoted"
NOT_PROMOTED = "not promoted"
OVERTAKEN = "overtaken"
AWAITS_APPROVAL = "awaits approval"
"""The gate let it through, and the recipe wants a person to say so too."""
ROLLED_BACK = "rolled back"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")
"""As recipes name models; what a user types becomes part of a path and of a query."""


def check_name(name: str) -> str:
    """The name of a model, if a recipe could have given it.

    Raises:
        InputError: none could.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{name!r} is no model's name: give one as a recipe's registry.model has it, such as "
            "mirror-en-python-docs"
        )
    return name


def aliases_of(client: MlflowClient, name: str) -> dict[str, str]:
    """The version of each alias; none if there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        return {key: str(value) for key, value in client.get_registered_model(name).aliases.items()}
    except MlflowException as error:
        if error.error_code == NOT_THERE:
            return {}
        raise


def find_version(client: MlflowClient, name: str, number: str | None) -> ModelVersion | None:
    """The version of that number; nothing if there is none, or no number."""
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version(name, number) if number else None
    except MlflowException as error:
        if error.error_code == NOT_THERE:
            return None
        raise


def named_version(client: MlflowClient, uri: str) -> ModelVersion:
    """The version that a registered model such as `models:/NAME@champion` is.

    Raises:
        BaseModelError: there is no such model, version or alias.
    """
    version = None
    if named := URI.fullmatch(uri):
        name, alias, number = named.groups()
        version = find_version(client, name, number or aliases_of(client, name).get(alias))
    if version is None:
        raise BaseModelError(
            f"the registry at {shown_uri()} has no {uri}: name a registered model as "
            "models:/NAME@ALIAS or models:/NAME/VERSION"
        )
    return version


def all_versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version, oldest first.

    Raises:
        InputError: there is none.
    """
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found.extend(page)
        token = page.token
        if not token:
            break
    if not found:
        raise InputError(
            f"the registry at {shown_uri()} has no version of {name}: run its recipe, or name "
            "another with MLFLOW_TRACKING_URI"
        )
    return sorted(found, key=lambda version: int(version.version))
