"""Encoders that come to the registry, without the runs that would have made them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.base_model import Base
from mirror.evaluation.differences import Difference
from mirror.evidence.gate import Verdict
from mirror.evidence.lineage import LINEAGE
from mirror.evidence.results import Results
from mirror.recipe import Recipe, parse_recipe
from mirror.store import StageRecord, digest_of_json
from tasks.candidate import Candidate, Champion

RECIPE = {
    "language": "en",
    "domain": "trades",
    "level": "sentence",
    "corpus": {"source": "docstrings"},
    "base": {"path": "models/some-base"},
    "evaluation": {"benchmarks": ["likeness"]},
    "registry": {"model": "mirror-en-trades"},
}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace with room for locks."""
    (tmp_path / "workspace" / "locks").mkdir(parents=True)
    return tmp_path / "workspace"


@pytest.fixture(scope="session")
def empty_tracking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tracking store without runs: making its tables takes seconds, copying it none."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("tracking") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def tracking(workspace: Path, empty_tracking: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of this test's own tracking store."""
    place = shutil.copy(empty_tracking, workspace / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{place}")
    monkeypatch.setenv("MIRROR_HOME", str(workspace))
    return f"sqlite:///{place}"


@pytest.fixture
def client(tracking: str) -> Any:
    """MLflow, on this test's store."""
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking)


@pytest.fixture(scope="session")
def encoders(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Folders of three different encoders."""
    import torch

    from mirror.encoders.encoder import Encoder

    folders = []
    for number in range(3):
        encoder = Encoder.load(tiny_base, "mean", 16)
        with torch.no_grad():
            next(encoder.model.parameters()).mul_(1 + number)
        folder = tmp_path_factory.mktemp("encoders") / "encoder"
        encoder.save(folder)
        (folder / "README.md").write_text(f"encoder {number}\n")
        folders.append(folder)
    return folders


@pytest.fixture
def recipe() -> Recipe:
    """A recipe of one benchmark."""
    return parse_recipe(dict(RECIPE), name="en-trades", place="a test")


def stage_record(folder: Path, name: str, counts: Mapping[str, Any]) -> StageRecord:
    """A record of a stage that was never made."""
    digest = digest_of_json([name, dict(counts)])
    return StageRecord(name, digest[:20], str(folder / name), digest, counts)


def write_scores(evaluation: StageRecord, **measures: float) -> None:
    """Writes an evaluation's scores, with what was measured beside each."""
    scores = {
        name: {"metric": "spearman", "score": score, "measures": measures}
        for name, score in evaluation.counts.items()
    }
    evaluation.path.mkdir(parents=True)
    (evaluation.path / "scores.json").write_text(json.dumps(scores))


@pytest.fixture
def results(recipe: Recipe, tmp_path: Path) -> Results:
    """Stages with three steps of tuning and made-up scores."""
    tuned = stage_record(tmp_path, "tune", {"steps": 3})
    tuned.path.mkdir()
    before, after = (
        stage_record(tmp_path / side, "evaluation", {"likeness": score})
        for side, score in (("before", 0.25), ("after", 0.5))
    )
    write_scores(before, alignment=0.75)
    write_scores(after, alignment=0.625)
    steps = [{"step": step, "loss": 3.0 - step / 2, "rate": 2e-5} for step in (1, 2, 3)]
    (tuned.path / "steps.jsonl").write_text("".join(json.dumps(step) + "\n" for step in steps))
    return Results(
        recipe=recipe,
        base=Base(str(tmp_path / "base"), "b" * 64, "models/some-base"),
        corpus=stage_record(tmp_path, "corpus", {"kept": 420}),
        sample=stage_record(tmp_path, "sample", {"strings": 400}),
        tuned=tuned,
        before=before,
        after=after,
    )


@pytest.fixture
def make_candidate(
    results: Results, encoders: list[Path], tmp_path: Path
) -> Callable[..., Candidate]:
    """Makes a candidate of the encoder of that number, promoted or not."""

    def make(number: int, promote: bool = True, champion: Champion | None = None) -> Candidate:
        report = tmp_path / "report.html"
        report.write_text("<p>a report</p>")
        found = Difference("likeness", 0.25, 0.5, 0.25, 0.125, 0.375, 120)
        reason = "Better than its base." if promote else "Not better than its base."
        verdict = Verdict(promote, (reason,), (found,))
        folder = Path(
            shutil.copytree(
                encoders[number], tmp_path / "packaged" / str(number), dirs_exist_ok=True
            )
        )
        lineage = {"format": 1, "recipe": {"language": "en"}, "base": {"digest": "b" * 64}}
        (folder.parent / LINEAGE).write_text(json.dumps({**lineage, "stages": {}}))
        scores = results.after if champion else None
        return Candidate(results, champion, scores, verdict, folder, report)

    return make
