"""Fixtures of the tests of flows."""

from tests.fixtures.flows import *  # noqa: F403
