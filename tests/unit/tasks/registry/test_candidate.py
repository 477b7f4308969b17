"""The evidence that is registered with an encoder."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.evaluation.benchmark import KINDS, find_kind
from mirror.release.gate import Verdict
from mirror.release.run_results import RunResults
from mirror.store import StageRecord
from tasks.registry.candidate import (
    DESCRIPTION_CHARACTERS,
    VALUE_CHARACTERS,
    Champion,
    RegistrationCandidate,
    metric_name,
    registration_tags,
)

CHAMPION = Champion("/registered/3", "c" * 64, version="3")


@pytest.fixture
def candidate(results: RunResults, tmp_path: Path) -> RegistrationCandidate:
    """An encoder of two files, promoted."""
    encoder = tmp_path / "encoder"
    encoder.mkdir()
    (encoder / "model.safetensors").write_bytes(b"weights")
    (encoder / "README.md").write_text("a card\n")
    verdict = Verdict(True, ("Better than its base.",))
    package, page = (StageRecord(name, "k", str(tmp_path), name) for name in ("package", "report"))
    return RegistrationCandidate(results, None, None, verdict, package, page)


def worse(candidate: RegistrationCandidate) -> RegistrationCandidate:
    return dataclasses.replace(candidate, verdict=Verdict(True, ("Better by a little.",)))


def compared(candidate: RegistrationCandidate) -> RegistrationCandidate:
    return dataclasses.replace(candidate, champion=CHAMPION)


def retuned(candidate: RegistrationCandidate) -> RegistrationCandidate:
    tuned = dataclasses.replace(
        candidate.results.tuned, files={"encoder/model.safetensors": "e" * 64}
    )
    return dataclasses.replace(
        candidate, results=dataclasses.replace(candidate.results, tuned=tuned)
    )


@pytest.mark.parametrize("change", [worse, compared, retuned])
def test_the_key_follows_encoder_verdict_and_champion(
    candidate: RegistrationCandidate,
    change: Callable[[RegistrationCandidate], RegistrationCandidate],
) -> None:
    key = candidate.key
    assert change(candidate).key != key


def test_the_key_is_that_of_the_champions_vectors_whatever_their_version(
    candidate: RegistrationCandidate,
) -> None:
    same = dataclasses.replace(CHAMPION, version="4", folder="/registered/4")
    keys = {dataclasses.replace(candidate, champion=champion).key for champion in (CHAMPION, same)}
    assert len(keys) == 1


def test_the_verdict_survives_as_json(candidate: RegistrationCandidate) -> None:
    assert json.loads(json.dumps(candidate.verdict_content())) == {
        "promote": True,
        "reasons": ["Better than its base."],
        "input": {
            "base": [],
            "readings": [],
            "mean_cosine": 0.0,
            "unique_fraction": 1.0,
            "champion": None,
            "slices": [],
            "storage": [],
            "champion_overlap": "",
            "unseen_loss": "",
            "guard": None,
            "smoke_test": None,
        },
    }


def test_the_verdict_text_fits_into_a_store(
    candidate: RegistrationCandidate,
) -> None:
    assert candidate.verdict_text() == "Promoted:\n- Better than its base."
    reasons = tuple(f"Worse on benchmark {number}." for number in range(1_000))
    refused = dataclasses.replace(candidate, verdict=Verdict(False, reasons))
    assert refused.verdict_text().startswith("Not promoted:\n- Worse on benchmark 0.")
    assert len(refused.verdict_text()) == DESCRIPTION_CHARACTERS


def test_settings_are_one_parameter_each_and_cut_to_what_a_store_takes(
    candidate: RegistrationCandidate,
) -> None:
    recipe = candidate.recipe
    packages = tuple(f"package-{number}" for number in range(100))
    corpus = recipe.corpus.model_copy(update={"packages": packages})
    changed = recipe.model_copy(update={"corpus": corpus})
    params = dataclasses.replace(
        candidate, results=dataclasses.replace(candidate.results, recipe=changed)
    ).params()
    assert params["level"] == "sentence"
    assert params["tuning.temperature"] == "0.04"
    assert params["evaluation.gate.confidence"] == "0.95"
    assert params["corpus.packages"].startswith("['package-0', 'package-1'")
    assert max(map(len, params.values())) == VALUE_CHARACTERS


def test_metrics_are_each_steps_loss_and_each_encoders_scores_and_measures(
    candidate: RegistrationCandidate, tmp_path: Path
) -> None:
    rival = StageRecord("evaluation", "k", str(tmp_path / "rival"), "d", {"likeness": 0.375})
    rival.path.mkdir()
    scores = {"likeness": {"score": 0.375, "extra_metrics": {"acc@5": 0.875}}}
    (rival.path / "scores.json").write_text(json.dumps(scores))
    judged = dataclasses.replace(candidate, champion=CHAMPION, champion_scores=rival)
    metrics = [(name, value, step) for name, value, _, step in judged.metrics()]
    assert [metric for metric in metrics if metric[0] == "tuning/loss"] == [
        ("tuning/loss", 2.5, 1),
        ("tuning/loss", 2.0, 2),
        ("tuning/loss", 1.5, 3),
    ]
    assert metrics[-6:] == [
        ("base/likeness", 0.25, 0),
        ("base/likeness.alignment", 0.75, 0),
        ("tuned/likeness", 0.5, 0),
        ("tuned/likeness.alignment", 0.625, 0),
        ("champion/likeness", 0.375, 0),
        ("champion/likeness.acc_at_5", 0.875, 0),
    ]


def test_every_metric_has_a_valid_unique_name(client: Any) -> None:
    find_kind("average")
    names = [metric_name(task, each) for task, kind in KINDS.items() for each in kind.EXTRA_METRICS]
    assert metric_name("sample-space", "isotropy, table 9") == "sample-space.isotropy_table_9"
    assert len(set(names)) == len(names) == 6
    run = client.create_run("0").info.run_id
    for name in names:
        client.log_metric(run, f"tuned/{name}", 0.5)
    assert len(client.get_run(run).data.metrics) == 6


def test_tags_name_the_champion_that_was_compared_with(candidate: RegistrationCandidate) -> None:
    assert "compared_with" not in registration_tags(candidate)
    judged = dataclasses.replace(candidate, champion=CHAMPION)
    assert registration_tags(judged)["compared_with"] == "3"
