"""Fixtures of these tests."""

from tests.fixtures.security import *  # noqa: F403
