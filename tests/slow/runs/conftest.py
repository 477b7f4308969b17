"""Fixtures of these tests."""

from tests.fixtures.flows import *  # noqa: F403
