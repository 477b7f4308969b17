"""Run records: results of a run on disk, which `mirror show` prints."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mirror.errors import StoreError
from mirror.evaluation.score_change import MetricSummary, ScoreChange
from mirror.hashing import MANIFEST
from mirror.store import StageRecord

RUNS = "runs"
STAMP = "%Y%m%dT%H%M%S.%fZ"
"""Always to the microsecond, or names would not sort by time."""
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


@dataclass(frozen=True)
class StageSummary:
    """One stage of a run."""

    stage: str
    seconds: float
    """How long it took to make, in this run or in the one that made it."""
    reused: bool
    folder: str


@dataclass(frozen=True)
class RunRecord:
    """One run, for people."""

    recipe: str
    started_at: str
    """UTC, ISO 8601."""
    seconds: float
    """The whole run, reused stages and all."""
    stages: tuple[StageSummary, ...]
    scores: tuple[ScoreChange, ...]
    promote: bool
    """Whether the gate made the encoder champion."""
    reasons: tuple[str, ...]
    """The gate's verdict, in words."""
    encoder: str
    """The packaged encoder's folder."""
    report: str
    """The report's file."""
    model: str
    """The registered model version, for example `models:/mirror-en-python-docs/3`."""
    confidence: float = 0.95
    """Level of the intervals."""
    extra_metrics: tuple[MetricSummary, ...] = ()
    unchanged: bool = False
    """Whether the run ended where it found nothing to do; it then has no scores of its own."""


@dataclass(frozen=True)
class StartTime:
    """When a run began, by the clock on the wall and by one that nobody sets."""

    at: str
    """UTC, ISO 8601."""
    monotonic: float

    @classmethod
    def now(cls) -> StartTime:
        """This moment."""
        return cls(datetime.now(UTC).isoformat(timespec="microseconds"), time.monotonic())

    def seconds(self) -> float:
        """How long ago that is."""
        return round(time.monotonic() - self.monotonic, 1)


def stage_lines(records: Sequence[StageRecord]) -> tuple[StageSummary, ...]:
    """The stages of a run, in its order."""
    return tuple(
        StageSummary(made.stage, made.seconds, made.reused, made.folder) for made in records
    )


def save_record(record: RunRecord, root: Path) -> Path:
    """Writes the record under the workspace `root`, where `find_record` looks.

    Raises:
        StoreError: it cannot be written.
    """
    path = root / RUNS / record.recipe / f"{_stamp(record, root)}.json"
    written = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        written.write_text(json.dumps(asdict(record), indent=1, ensure_ascii=False), "utf-8")
        written.rename(path)
    except OSError as error:
        with suppress(OSError):
            written.unlink(missing_ok=True)
        raise StoreError(
            f"the run's record {path} cannot be written ({error.strerror}): free or allow the "
            "folder, or set MIRROR_HOME to another"
        ) from error
    return path


def _stamp(record: RunRecord, root: Path) -> str:
    """When the run began; later than any other's, if the clock was set back behind one."""
    began = datetime.fromisoformat(record.started_at).astimezone(UTC)
    ahead = f"{datetime.now(UTC):{STAMP}}"
    if (newest := max((path.stem for path in record_paths(root)), default="")) > ahead:
        began = datetime.strptime(newest, STAMP).replace(tzinfo=UTC) + timedelta(microseconds=1)
    return f"{began:{STAMP}}"


def record_paths(root: Path, recipe: str = "*") -> list[Path]:
    """The records of a recipe's runs, or of all, oldest first, whatever the clock said."""
    return sorted((root / RUNS).glob(f"{recipe}/*.json"), key=lambda path: path.name)


def read_record(path: Path) -> RunRecord:
    """Reads a record.

    Raises:
        StoreError: it cannot be read, or another version of this project wrote it.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(ScoreChange(**line) for line in content.pop("scores"))
        stages = tuple(StageSummary(**line) for line in content.pop("stages"))
        reasons = tuple(content.pop("reasons"))
        measures = tuple(MetricSummary(**line) for line in content.pop("extra_metrics", ()))
        return RunRecord(
            scores=scores, stages=stages, reasons=reasons, extra_metrics=measures, **content
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreError(f"{path} is no record of a run: remove it and run again") from error


def find_record(root: Path, recipe: str | None = None) -> RunRecord:
    """The newest run of a recipe, named as for `mirror run`, or of any.

    Raises:
        StoreError: there is none, or that is no recipe's name.
    """
    folder = "*"
    if recipe:
        folder = Path(recipe).stem if recipe.endswith(".toml") else recipe
        if not _NAME.fullmatch(folder):
            raise StoreError(
                f"{recipe!r} is no recipe's name, so {root} has no run of it: use a name that "
                "`mirror recipes` lists, or the path of a .toml file"
            )
    paths = record_paths(root, folder)
    if not paths:
        of_recipe, name = (f" of {recipe}", recipe) if recipe else ("", "RECIPE")
        raise StoreError(f"no run{of_recipe} in {root}: make one with `mirror run {name}`")
    return read_record(paths[-1])


def find_stage(record: RunRecord, stage: str) -> StageRecord:
    """What a run's first stage of that name left behind.

    Raises:
        StoreError: it is gone, or damaged.
    """
    folder = next((line.folder for line in record.stages if line.stage == stage), None)
    try:
        content = json.loads((Path(str(folder)) / MANIFEST).read_text(encoding="utf-8"))
        parts = (content["key"], str(folder), content["digest"], content["counts"])
        return StageRecord(stage, *parts, content["seconds"], reused=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"the stage {stage} of the last run of {record.recipe} is gone from {folder}: run "
            f"`mirror run {record.recipe}` again"
        ) from error
