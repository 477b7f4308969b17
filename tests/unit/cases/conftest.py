"""Fixtures of these tests."""

from tests.fixtures.mirror import *  # noqa: F403
