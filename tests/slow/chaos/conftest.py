"""Fixtures of these tests."""

from tests.fixtures.tasks import *  # noqa: F403
