"""Workers of a cluster; tests/slow/distributed has those of real ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mirror import cluster
from mirror.cluster import cluster_workers, map_in_order
from mirror.errors import InputError


@pytest.mark.parametrize("kind", ["", "thread", "process"])
def test_other_runners_name_no_cluster(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIRROR_RUNNER", kind)
    with cluster_workers() as workers:
        assert workers is None


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_missing_extra_is_named_with_its_installation(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_RUNNER", kind)
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=rf"'{kind}' is not installed: pip .*\[{kind}\]"):
        cluster_workers().__enter__()


def test_results_come_in_order_and_parts_are_read_as_they_are_needed() -> None:
    read: list[int] = []

    def parts() -> Iterator[int]:
        for number in range(20):
            read.append(number)
            yield number

    with ThreadPoolExecutor(4) as pool:
        results = map_in_order(pool, lambda number: number * number, parts(), 3)
        assert next(results) == 0
        assert read == [0, 1, 2, 3]
        assert list(results) == [number * number for number in range(1, 20)]
