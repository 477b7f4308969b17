"""Fixtures of the integration tests."""

from tests.fixtures.flows import *  # noqa: F403
