"""A recorded run made again: whether every stage gives the same bytes, and if not, why.

What a run came to is its lineage (`lineage.py`); two of them are compared stage by stage.  Left out
are the probe, since it measures times, and what a run did with the champion that it found: that
champion's scores, and the word for those who hold an index of its vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Lineage = Mapping[str, Any]
FROM_STAGES = ("corpus", "pairs", "sample", "tune", "base", "encoder")
"""Names of inputs that are stages, or the base."""
NOTHING_CHANGED = (
    "not reproducible: nothing that it is made from has changed, unless it was another kind of "
    "processor"
)


@dataclass(frozen=True)
class StageVerdict:
    """What became of one stage."""

    stage: str
    """Its part in the run: `corpus`, `tune`, `before` and so on."""
    same: bool
    """Whether its bytes are the recorded ones."""
    reasons: tuple[str, ...] = ()
    """Why they are not."""
    files: tuple[str, ...] = ()
    """Which files differ, are missing or are new."""


def compare_lineages(recorded: Lineage, again: Lineage) -> tuple[StageVerdict, ...]:
    """What became of each recorded stage, in the run's order; reads nothing."""
    differing: set[str] = set()
    verdicts = []
    for role, stage in _in_order(recorded["stages"]):
        other = again["stages"].get(role)
        if other is None:
            verdicts.append(StageVerdict(role, False, ("it was not made: settings changed",)))
            differing.add(role)
        elif stage["digest"] == other["digest"]:
            verdicts.append(StageVerdict(role, True))
        else:
            reasons = tuple(_reasons(role, recorded, again, differing)) or (NOTHING_CHANGED,)
            verdicts.append(StageVerdict(role, False, reasons, _other_files(stage, other)))
            differing.add(role)
    return tuple(verdicts)


def _in_order(stages: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Each after what it is made from; JSON may have brought them in any order."""
    waiting, ordered = dict(sorted(stages.items())), list[tuple[str, Any]]()
    while waiting:
        ready = [role for role, stage in waiting.items() if not waiting.keys() & {*stage["from"]}]
        for role in ready or list(waiting):  # a lineage that goes round is damaged; shown as it is
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
        yield "settings changed: what the recipe leaves out means something else now"
    if was["code"] != now["code"]:
        yield "code changed"
    if others := _other_versions(_versions(was), _versions(now)):
        yield f"library versions differ: {', '.join(others)}"


def _changed_sources(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = sorted({*was, *now} - {*FROM_STAGES})
    return [name for name in names if was.get(name) != now.get(name)]


def _versions(stage: Mapping[str, Any]) -> dict[str, str]:
    return {"python": stage["python"], **stage["versions"]}


def _other_versions(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    names = [name for name in sorted({*was, *now}) if was.get(name) != now.get(name)]
    return [f"{name} {was.get(name, 'absent')}, now {now.get(name, 'absent')}" for name in names]


def _other_files(was: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    names = sorted({*was["files"], *now["files"]})
    return tuple(name for name in names if was["files"].get(name) != now["files"].get(name))
