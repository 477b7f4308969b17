"""Fixtures of these tests."""

from tests.fixtures.flows import *  # noqa: F403
from tests.fixtures.mirror import *  # noqa: F403
