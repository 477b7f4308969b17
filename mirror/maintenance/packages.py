"""Checks of Python, the required packages, their pinned versions and the extras."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from mirror.maintenance.health_check import CheckResult
from mirror.paths import CHECKOUT

MIN_PYTHON = (3, 11)
INSTALL = "run `make install`, or `pip install -c constraints.txt -e .` in your own environment"
FASTAPI_BREAKS = Version("0.151")
FIXED_PREFECT = Version("3.9.1")
"""The first Prefect that declares which FastAPI it needs."""
NOT_FOR_USERS = ("dev",)


def check_packages() -> Iterator[CheckResult]:
    """Check Python, packages, pins and extras without importing them."""
    yield check_python(sys.version_info[:2])
    try:
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        text = f"{CHECKOUT / 'pyproject.toml'} cannot be read: {error}"
        yield CheckResult("packages", "bad", text, "run from a complete checkout")
        return
    yield check_requirements(project["project"]["dependencies"])
    yield check_prefect_with_fastapi()
    yield check_pins(CHECKOUT / "constraints.txt")
    yield check_extras(project["project"].get("optional-dependencies", {}))


def check_python(version: tuple[int, ...]) -> CheckResult:
    """Check the version of Python."""
    text = f"{platform.python_version()} at {sys.executable}"
    if version < MIN_PYTHON:
        return CheckResult(
            "python", "bad", text, "use 3.11 or newer: make install PYTHON=python3.11"
        )
    return CheckResult("python", "ok", text)


def check_requirements(requirements: Iterable[str]) -> CheckResult:
    """Check that the required packages are installed in a required version."""
    faults: list[str] = []
    count = 0
    for requirement in map(Requirement, requirements):
        if requirement.marker is None or requirement.marker.evaluate():
            count += 1
            faults += _faults(requirement)
    if faults:
        return CheckResult("packages", "bad", "; ".join(faults), INSTALL)
    return CheckResult("packages", "ok", f"{count} installed as pyproject.toml requires")


def _faults(requirement: Requirement) -> Iterator[str]:
    version = _version(requirement.name)
    if version is None:
        yield f"{requirement.name} is not installed"
    elif not requirement.specifier.contains(version, prereleases=True):
        yield f"{requirement.name} is {version}, not {requirement.specifier}"


def check_prefect_with_fastapi() -> CheckResult:
    """Check for a Prefect that the installed FastAPI breaks."""
    prefect, fastapi = _version("prefect"), _version("fastapi")
    if prefect is None or fastapi is None:
        return CheckResult("prefect with fastapi", "bad", "not both installed", INSTALL)
    text = f"prefect {prefect} with fastapi {fastapi}"
    if prefect < FIXED_PREFECT and fastapi >= FASTAPI_BREAKS:
        text += ": every flow fails, with a message that names neither of them"
        return CheckResult("prefect with fastapi", "bad", text, "pip install 'fastapi<0.151'")
    return CheckResult("prefect with fastapi", "ok", text)


def check_pins(path: Path) -> CheckResult:
    """Compare the installed versions with the pinned ones."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        text = f"{path} cannot be read: {error.strerror}"
        return CheckResult("pins", "warn", text, "run from a complete checkout")
    pins = [line.split("==") for line in lines if re.match(r"[\w.-]+==", line)]
    others = [
        f"{name} {installed} (tested with {pin})"
        for name, pin in pins
        if (installed := _version(name)) is not None and installed.public != Version(pin).public
    ]
    if others:
        text = f"{len(others)} of {len(pins)} differ from {path.name}: {_shortened(others)}"
        return CheckResult("pins", "warn", text, f"if something fails, {INSTALL}")
    return CheckResult("pins", "ok", f"as in {path.name}")


def check_extras(extras: dict[str, list[str]]) -> CheckResult:
    """List the extras that are installed and those that are not."""
    offered = {name: list(map(Requirement, extras[name])) for name in sorted(extras)}
    for name in NOT_FOR_USERS:
        offered.pop(name, None)
    absent = [name for name, parts in offered.items() if _is_absent(parts)]
    present = ", ".join(name for name in offered if name not in absent) or "none"
    if not absent:
        return CheckResult("extras", "ok", f"installed: {present}")
    text = f"installed: {present}; not installed: {', '.join(absent)}"
    return CheckResult(
        "extras", "ok", text, f"if you need them: pip install -e '.[{','.join(absent)}]'"
    )


def _is_absent(requirements: Iterable[Requirement]) -> bool:
    return any(fault for requirement in requirements for fault in _faults(requirement))


def _version(name: str) -> Version | None:
    try:
        return Version(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return None


def _shortened(items: list[str], most: int = 4) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
