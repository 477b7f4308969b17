"""Task runners for many recipes, selected by one setting."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

from mirror.errors import InputError
from tasks.runners import runner_kind, task_runner


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MIRROR_RUNNER", "MIRROR_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def test_an_argument_overrides_the_environment(monkeypatch) -> None:
    assert runner_kind(None) == "thread"
    monkeypatch.setenv("MIRROR_RUNNER", "dask")
    assert runner_kind(None) == "dask"
    assert runner_kind("process") == "process"


def test_an_unknown_runner_is_refused_with_a_list(monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_RUNNER", "spark")
    with pytest.raises(
        InputError, match="'spark' is not a runner: set MIRROR_RUNNER to one of thread, pro"
    ):
        runner_kind(None)


@pytest.mark.parametrize(
    ("kind", "name"), [("thread", "ThreadPoolTaskRunner"), ("process", "ProcessPoolTaskRunner")]
)
def test_each_kind_is_prefects_runner_of_it(kind, name) -> None:
    assert type(task_runner(kind, 2)).__name__ == name


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_runner_that_is_not_installed_names_its_extra(kind, monkeypatch) -> None:
    find = builtins.__import__

    def absent(name: str, *rest: Any) -> Any:
        if name.startswith("prefect_"):
            raise ImportError(name)
        return find(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=rf"pip install .* '\.\[{kind}\]'"):
        task_runner(kind, 2)


def test_a_clusters_address_goes_with_a_cluster_only(monkeypatch) -> None:
    monkeypatch.setenv("MIRROR_CLUSTER", "tcp://127.0.0.1:8786")
    with pytest.raises(
        InputError, match="MIRROR_CLUSTER is set, but a thread runner uses no cluster"
    ):
        task_runner("thread", 2)
    pytest.importorskip("prefect_dask")
    assert "127.0.0.1:8786" in repr(vars(task_runner("dask", 2)))
