"""A digest of the code that makes a stage: a module and all of `mirror` that it reaches."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from mirror.paths import CHECKOUT

ROOT = CHECKOUT
PACKAGE = "mirror"


@cache
def code_hash(module: str) -> str:
    """Digest of `mirror.<module>` and every module of `mirror` that it imports, however deep.

    Comments, docstrings and layout do not count, so that rewording one remakes nothing.
    """
    digest = hashlib.sha256()
    for name in sorted(reached_modules(f"{PACKAGE}.{module}")):
        tree = _without_docstrings(_parsed(name))
        digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()


def reached_modules(module: str) -> set[str]:
    """The module and all of `mirror` that it imports, at its top or inside a function."""
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_imports(_parsed(name)))
    return seen


def _path(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    places = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((place for place in places if place.is_file()), None)


def _parsed(module: str) -> ast.Module:
    path = _path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} under {ROOT}", name=module)
    return ast.parse(path.read_text(encoding="utf-8"))


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.ImportFrom(module=str(module), names=names) if _is_ours(module):
                yield module
                inner = (f"{module}.{name.name}" for name in names)
                yield from (name for name in inner if _path(name) is not None)
            case ast.Import(names=names):
                yield from (name.name for name in names if _is_ours(name.name))


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return tree


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
