"""Run records: the results of each run, as JSON files that `mirror show` reads."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mirror.atomic_write import atomic_file
from mirror.errors import StoreError
from mirror.evaluation.score_change import BaseReading, MetricSummary, ScoreChange
from mirror.hashing import MANIFEST
from mirror.release.notices import Notice
from mirror.store import StageRecord

RUNS = "runs"
STAMP = "%Y%m%dT%H%M%S.%fZ"
"""Always with microseconds, so that names sort by time."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class StageSummary:
    """One stage of a run."""

    stage: str
    seconds: float
    """Time that the stage took when it was computed, in this run or an earlier one."""
    reused: bool
    folder: str


@dataclass(frozen=True)
class RunRecord:
    """The results of one run."""

    recipe: str
    started_at: str
    """UTC, ISO 8601."""
    seconds: float
    """Duration of the run, with the time spent on reused stages."""
    stages: tuple[StageSummary, ...]
    scores: tuple[ScoreChange, ...]
    promote: bool
    """Whether the gate made the encoder champion."""
    reasons: tuple[str, ...]
    """The gate's reasons, as whole sentences."""
    encoder: str
    """Folder of the packaged encoder."""
    report: str
    """Path of the HTML report."""
    model: str
    """URI of the registered version, such as `models:/mirror-en-python-docs/3`."""
    confidence: float = 0.95
    """Confidence level of the intervals."""
    extra_metrics: tuple[MetricSummary, ...] = ()
    readings: tuple[BaseReading, ...] = ()
    """The base in each reading that was scored, the baseline's first."""
    loss: str = ""
    """How the loss of tuning fell, and whether that is as expected."""
    notices: tuple[Notice, ...] = ()
    """What was cut, skipped, left out, replaced or ignored, the largest shares first."""
    unchanged: bool = False
    """Whether `--if-changed` ended the run after the corpus stage; it then has no scores."""


PARTS = {
    "stages": StageSummary,
    "scores": ScoreChange,
    "extra_metrics": MetricSummary,
    "readings": BaseReading,
    "notices": Notice,
}
"""Fields of a run record that are lists of other records."""


@dataclass(frozen=True)
class StartTime:
    """Start of a run, by the system clock and by the monotonic clock."""

    at: str
    """UTC, ISO 8601."""
    monotonic: float

    @classmethod
    def now(cls) -> StartTime:
        """Return the current time."""
        return cls(datetime.now(UTC).isoformat(timespec="microseconds"), time.monotonic())

    def seconds(self) -> float:
        """Return the seconds since then, by the monotonic clock."""
        return round(time.monotonic() - self.monotonic, 1)


def stage_summaries(records: Sequence[StageRecord]) -> tuple[StageSummary, ...]:
    """Return a summary of each stage, in the given order."""
    return tuple(
        StageSummary(record.stage, record.seconds, record.reused, record.folder)
        for record in records
    )


def save_record(record: RunRecord, root: Path) -> Path:
    """Write the record into the workspace `root` and return its path.

    Raises:
        StoreError: it cannot be written.
    """
    path = root / RUNS / record.recipe / f"{_stamp(record, root)}.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False), "utf-8")
    except OSError as error:
        raise StoreError(
            f"the run's record {path} cannot be written ({error.strerror}): free disk space or "
            "correct the folder's permissions, or set MIRROR_HOME to another folder"
        ) from error
    return path


def _stamp(record: RunRecord, root: Path) -> str:
    """Return the start as a file name; later than all others even if the clock was set back."""
    start = datetime.fromisoformat(record.started_at).astimezone(UTC)
    current = f"{datetime.now(UTC):{STAMP}}"
    if (newest := max((path.stem for path in record_paths(root)), default="")) > current:
        start = datetime.strptime(newest, STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1)
    return f"{start:{STAMP}}"


def record_paths(root: Path, recipe: str = "*") -> list[Path]:
    """Return the paths of the records of a recipe, or of all recipes, oldest first."""
    return sorted((root / RUNS).glob(f"{recipe}/*.json"), key=lambda path: path.name)


def read_record(path: Path) -> RunRecord:
    """Return the record in a file.

    Raises:
        StoreError: it cannot be read, or another version of this project wrote it.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        content["reasons"] = tuple(content["reasons"])
        for name, kind in PARTS.items():
            content[name] = tuple(kind(**line) for line in content[name])
        return RunRecord(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is not a run record: remove it and run again") from error


def find_record(root: Path, recipe: str | None = None) -> RunRecord:
    """Return the newest record of a recipe, or of all recipes.

    Args:
        root: the workspace.
        recipe: a name or a path, as `mirror run` takes it.

    Raises:
        StoreError: there is none, or `recipe` is not a recipe's name.
    """
    folder = "*"
    if recipe:
        folder = Path(recipe).stem if recipe.endswith(".toml") else recipe
        if not _NAME.fullmatch(folder):
            raise StoreError(
                f"{recipe!r} is not a recipe's name, so {root} has no run of it: use a name that "
                "`mirror recipes` lists, or the path of a .toml file"
            )
    paths = record_paths(root, folder)
    if not paths:
        of_recipe, name = (f" of {recipe}", recipe) if recipe else ("", "RECIPE")
        raise StoreError(f"no run{of_recipe} in {root}: make one with `mirror run {name}`")
    return read_record(paths[-1])


def find_stage(record: RunRecord, stage: str) -> StageRecord:
    """Return the record of a run's first stage of that name.

    Raises:
        StoreError: its folder is missing or damaged.
    """
    folder = next((line.folder for line in record.stages if line.stage == stage), None)
    try:
        content = json.loads((Path(str(folder)) / MANIFEST).read_text(encoding="utf-8"))
        parts = (content["key"], str(folder), content["digest"], content["counts"])
        return StageRecord(stage, *parts, content["seconds"], reused=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the stage {stage} of the last run of {record.recipe} is missing in {folder}: run "
            f"`mirror run {record.recipe}` again"
        ) from error
