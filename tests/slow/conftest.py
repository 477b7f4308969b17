"""Marks of the tests in this folder: `slow`, and `serial` where a test needs the whole machine."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SERIAL = (HERE / "bench", HERE / "chaos" / "killed_team")
"""Tests that measure time, or kill servers at measured moments."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marks `slow` and `serial`."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)
        if any(item.path.is_relative_to(folder) for folder in SERIAL):
            item.add_marker(pytest.mark.serial)
