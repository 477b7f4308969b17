"""Marks and order of the tests in this folder.

`slow`, and `serial` where a test needs the whole machine; files that take longest begin first.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
SERIAL = HERE / "bench"
"""Tests that measure time."""
LONGEST = (
    "chaos/killed_team/test_killed_team.py",
    "services/test_operations.py",
    "services/test_cancelling.py",
    "chaos/test_killed_runs.py",
    "distributed/test_run_recipes.py",
    "services/test_servers_command.py",
    "security/test_servers.py",
    "services/test_local_api.py",
    "services/test_deployments.py",
    "distributed/test_distributed_tuning.py",
    "chaos/conditions/test_tracking_server.py",
    "chaos/conditions/test_full_disk.py",
    "distributed/test_cluster.py",
    "chaos/test_runs_at_once.py",
    "chaos/test_concurrent_registration.py",
    "models/test_onnx.py",
)
"""Files of a minute or more: if one of them began last, the other processes would wait for it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Add the marks `slow` and `serial`, and put the longest files first."""
    rank = {HERE / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(LONGEST)))
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.slow)
        if item.path.is_relative_to(SERIAL):
            item.add_marker(pytest.mark.serial)
