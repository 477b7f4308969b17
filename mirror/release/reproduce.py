"""Comparison of a reproduced run with the recorded one, stage by stage, by their lineages.

A lineage leaves out the smoke test, which contains timings, and everything that depends on the
champion of the day: its scores and index compatibility.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Lineage = Mapping[str, Any]
FROM_STAGES = ("corpus", "pairs", "sample", "tune", "base", "encoder")
"""Names of inputs that are stages, or the base."""
KIND = "kind "
"""Prefix of inputs that are the code of a benchmark kind."""
NOTHING_CHANGED = (
    "not reproducible: inputs, settings, code and library versions are equal; the processor may "
    "differ"
)


@dataclass(frozen=True)
class StageVerdict:
    """Whether one stage was reproduced."""

    stage: str
    """Its role in the run, such as `corpus`, `tune` or `before`."""
    same: bool
    """Whether its bytes are the recorded ones."""
    reasons: tuple[str, ...] = ()
    """Why they are not."""
    files: tuple[str, ...] = ()
    """Which files differ, are missing or are new."""


def compare_lineages(recorded: Lineage, again: Lineage) -> tuple[StageVerdict, ...]:
    """Return a verdict on each recorded stage, in the run's order."""
    differing: set[str] = set()
    verdicts = []
    for role, stage in _in_order(recorded["stages"]):
        other = again["stages"].get(role)
        if other is None:
            verdicts.append(StageVerdict(role, False, ("the stage is missing: settings changed",)))
            differing.add(role)
        elif stage["digest"] == other["digest"]:
            verdicts.append(StageVerdict(role, True))
        else:
            reasons = tuple(_reasons(role, recorded, again, differing)) or (NOTHING_CHANGED,)
            verdicts.append(StageVerdict(role, False, reasons, _other_files(stage, other)))
            differing.add(role)
    return tuple(verdicts)


def _in_order(stages: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return the stages in topological order; JSON may have them in any order."""
    waiting, ordered = dict(sorted(stages.items())), list[tuple[str, Any]]()
    while waiting:
        ready = [role for role, stage in waiting.items() if not waiting.keys() & {*stage["from"]}]
        for role in ready or list(waiting):  # a damaged lineage may have a cycle
            ordered.append((role, waiting.pop(role)))
    return ordered


def _reasons(role: str, recorded: Lineage, again: Lineage, differing: set[str]) -> Iterator[str]:
    was, now = recorded["stages"][role], again["stages"][role]
    if above := sorted(differing & {*was["from"]}):
        yield f"follows from {', '.join(above)}"
    if "base" in was["from"] and recorded["base"]["digest"] != again["base"]["digest"]:
        yield f"source changed: the base {recorded['base']['origin']}"
    if changed := _changed_sources(was["inputs"], now["inputs"]):
        yield f"source changed: {', '.join(changed)}"
    if was["section"] != now["section"]:
        yield "settings changed: defaults that the recipe does not set have other values"
    kinds = [name for name in was["inputs"] if name.startswith(KIND)]
    if was["code"] != now["code"] or _changed(kinds, was["inputs"], now["inputs"]):
        yield "code changed"
    if others := _other_versions(_versions(was), _versions(now)):
        yield f"library versions differ: {', '.join(others)}"


def _changed_sources(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = sorted({*was, *now} - {*FROM_STAGES})
    return _changed([name for name in names if not name.startswith(KIND)], was, now)


def _changed(names: Sequence[str], was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    return [name for name in names if was.get(name) != now.get(name)]


def _versions(stage: Mapping[str, Any]) -> dict[str, str]:
    return {"python": stage["python"], **stage["versions"]}


def _other_versions(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    return [f"{name} {was.get(name, 'absent')}, now {now.get(name, 'absent')}" for name in names]


def _other_files(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    names = sorted({*was["files"], *now["files"]})
    return tuple(name for name in names if was["files"].get(name) != now["files"].get(name))
