"""SHA-256 of JSON values, of files and folders, and of the code that makes a stage."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import time
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from mirror.paths import CHECKOUT
from mirror.python_source import parse_python

ROOT = CHECKOUT
PACKAGE = "mirror"
MANIFEST = "manifest.json"
CHECKED = ".checked.json"
"""When a stage's files were last read, and their sizes and times then."""
RECENT_NS = 2_000_000_000
"""A file that changed this recently may change again without a new time."""


def digest_of_json(value: Any) -> str:
    """Return the SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; an unchanged file is read once by a process."""
    info = path.stat()
    if abs(time.time_ns() - info.st_mtime_ns) < RECENT_NS:
        return read_digest(path)
    identity = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
    return _known_digest(path, identity)


@lru_cache(maxsize=4096)
def _known_digest(path: Path, identity: tuple[int, ...]) -> str:
    return read_digest(path)


def read_digest(path: Path) -> str:
    """Return the SHA-256 of a file, which is read in any case."""
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def stage_files(folder: Path) -> list[Path]:
    """Return every file under `folder`, sorted, but the store's own two at its top."""
    own = (folder / MANIFEST, folder / CHECKED)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in own)


def file_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file under `folder` but its manifest, by relative path."""
    return {path.relative_to(folder).as_posix(): file_digest(path) for path in stage_files(folder)}


def folder_digest(folder: Path) -> str:
    """Return one digest for all files under `folder`."""
    return digest_of_json(file_digests(folder))


@cache
def code_hash(module: str) -> str:
    """Return the digest of `mirror.<module>` and of every module of `mirror` that it imports.

    Comments, docstrings and layout do not count: rewording one makes no stage again.
    """
    names = sorted(reached_modules(f"{PACKAGE}.{module}"))
    return digest_of_json([[name, _module(name)[0]] for name in names])


def class_code_hash(kind: type) -> str:
    """Return `code_hash` of a class's module, also for one outside this package."""
    package, _, module = kind.__module__.partition(".")
    if package == PACKAGE:
        return code_hash(module)
    return hashlib.sha256(inspect.getsource(kind).encode()).hexdigest()


def reached_modules(module: str) -> set[str]:
    """Return the module and all of `mirror` that it imports, at its top or inside a function."""
    seen, waiting = set[str](), [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting.extend(_module(name)[1])
    return seen


@cache
def _module(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the digest of one module's code, and the modules of `mirror` that it imports."""
    path = _path(name)
    if path is None:
        raise ModuleNotFoundError(f"no module {name} under {ROOT}", name=name)
    imports: list[str] = []
    content = _content(parse_python(path.read_text(encoding="utf-8")), imports)
    return hashlib.sha256(repr(content).encode()).hexdigest(), tuple(imports)


def _path(module: str) -> Path | None:
    stem = ROOT.joinpath(*module.split("."))
    candidates = (stem.with_suffix(".py"), stem / "__init__.py")
    return next((path for path in candidates if path.is_file()), None)


def _content(node: Any, imports: list[str]) -> Any:
    """Return a syntax tree without places and docstrings; append the modules that it imports."""
    if isinstance(node, list):
        return [_content(part, imports) for part in node if not _is_docstring(part)]
    if not isinstance(node, ast.AST):
        return node
    if isinstance(node, ast.Import | ast.ImportFrom):
        imports += _imported(node)
    fields = [_content(getattr(node, name, None), imports) for name in node._fields]
    return (type(node).__name__, *fields)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    """Yield the modules of `mirror` that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (name.name for name in node.names if _is_ours(name.name))
    elif node.module and _is_ours(node.module):
        yield node.module
        inner = (f"{node.module}.{name.name}" for name in node.names)
        yield from (name for name in inner if _path(name) is not None)


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _is_docstring(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
