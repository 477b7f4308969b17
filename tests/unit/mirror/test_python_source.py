"""Syntax trees of Python files, built in several threads at once."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mirror import hashing
from mirror.python_source import parse_python

SOURCE = Path(hashing.__file__).read_text(encoding="utf-8")


@pytest.fixture
def interrupted_threads() -> Iterator[None]:
    """Threads that take turns at every chance, of which a garbage collection is one."""
    interval = sys.getswitchinterval()

    def run_python(*_: object) -> None:
        sum(range(1_000))

    gc.callbacks.append(run_python)
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
    gc.callbacks.remove(run_python)


def parse_at_depth(depth: int) -> str:
    if depth:
        return parse_at_depth(depth - 1)
    return {ast.dump(parse_python(SOURCE)) for _ in range(8)}.pop()


def test_threads_that_parse_at_once_get_equal_trees(interrupted_threads: None) -> None:
    with ThreadPoolExecutor(4) as pool:
        trees = set(pool.map(parse_at_depth, (0, 20, 40, 60)))
    assert trees == {ast.dump(ast.parse(SOURCE))}


@pytest.mark.parametrize("source", ["x = 1", "x = = 1"])
def test_garbage_is_collected_again_afterwards(source: str) -> None:
    try:
        parse_python(source)
    except SyntaxError:
        assert "= =" in source
    assert gc.isenabled()
