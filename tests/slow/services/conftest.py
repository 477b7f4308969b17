"""Fixtures of the tests of services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fixtures.flows import prefect_server
from tests.fixtures.tasks import *  # noqa: F403


@pytest.fixture(scope="module")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Prefect server that has the work pools and deployments of one file only."""
    with prefect_server(tmp_path_factory.mktemp("prefect")) as url:
        yield url
