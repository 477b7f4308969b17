"""Syntax trees of Python files, also where several threads ask for one at once."""

from __future__ import annotations

import ast
import gc
import threading

_PARSING = threading.Lock()


def parse_python(source: str | bytes) -> ast.Module:
    """Return the syntax tree of a module's source.

    Until Python 3.11.8, two threads that build trees at once share one counter of depth, and one of
    them fails with a `SystemError` (CPython's issue 106905).  A thread is only interrupted there by
    a garbage collection, so none runs meanwhile.

    Raises:
        SyntaxError: the source is no Python.
        ValueError: the source holds null bytes.
        RecursionError: its expressions are nested too deeply.
    """
    with _PARSING:
        collects = gc.isenabled()
        gc.disable()
        try:
            return ast.parse(source)
        finally:
            if collects:
                gc.enable()
