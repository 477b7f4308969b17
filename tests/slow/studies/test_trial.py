"""One encoder, tuned or raw, on benchmarks."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import RecipeError, TuningError
from mirror.evaluation.benchmark import DEFINITIONS
from mirror.evaluation.metrics import cosines
from mirror.experiments.trial import Trial, TrialResult, run_trial, with_changes
from mirror.pipeline import run_chain
from mirror.progress import ProgressEvent
from mirror.recipe import Recipe
from mirror.store import Store
from mirror.tuning.device_lock import device_lock, device_name
from tests.fixtures.recipes import make_recipe

PAIRS = [
    ("the baker sells a mirror", "the baker sells a mirror", 5),
    ("a wet letter", "a wet ladder", 3),
    ("the pilot hides", "two red kettles and a wagon", 1),
    ("a quiet garden", "the miner counts lanterns", 0),
]


def with_tuning(recipe: Recipe, **settings: Any) -> Recipe:
    return with_changes(recipe, {f"tuning.{name}": value for name, value in settings.items()})


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    rows = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in PAIRS)]
    (tmp_path / "own.tsv").write_text("\n".join(rows) + "\n")
    (tmp_path / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
    monkeypatch.setattr("mirror.evaluation.benchmark.DEFINITIONS", tmp_path)
    return "own"


@pytest.fixture
def recipe(tmp_path: Path, sentences: list[str], benchmark: str) -> Recipe:
    text = tmp_path / "text.jsonl"
    fours = [". ".join(sentences[start : start + 4]) + "." for start in range(0, 400, 4)]
    text.write_text("".join(json.dumps({"text": four}) + "\n" for four in fours))
    return make_recipe(
        corpus={"source": "files", "paths": [str(text)], "check_language": False},
        sample={"size": 32},
        tuning={"batch_size": 8, "max_tokens": 20, "precision": "fp32"},
        evaluation={"benchmarks": [benchmark]},
    )


@pytest.fixture
def trial(recipe: Recipe, tiny_base: Path) -> Trial:
    return Trial("tiny", recipe, EncoderRef(str(tiny_base), base_digest(tiny_base), "tiny"))


def test_a_tuned_trial_is_scored_and_reused_whole(trial: Trial, store: Store) -> None:
    made = run_trial(trial, store)
    assert list(made.scores) == ["own"]
    assert made.scores["own"] == made.details["own"]["score"] == made.evaluation.counts["own"]
    assert not made.reused
    assert made.tuned is not None
    losses = [made.tuned.counts[name] for name in ("first_loss", "final_loss")]
    assert min(losses) > 0
    assert losses[0] != losses[1]
    assert made.tuning_seconds == made.tuned.seconds > 0
    again = run_trial(replace(trial, label="by another name"), store)
    assert again.reused
    assert (again.scores, again.evaluation.key) == (made.scores, made.evaluation.key)


def test_to_tune_a_trial_waits_for_its_place_and_what_is_made_waits_for_nobody(
    trial: Trial, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_DEVICE_LOCK_DIR", str(tmp_path / "slots"))
    monkeypatch.delenv("MIRROR_RUNS_PER_DEVICE", raising=False)
    waiting, signs, made = threading.Event(), list[ProgressEvent](), list[TrialResult]()

    def hear(sign: ProgressEvent) -> None:
        signs.append(sign)
        if "waiting for other runs" in sign.text:
            waiting.set()

    thread = threading.Thread(target=lambda: made.append(run_trial(trial, store, hear)))
    with device_lock(device_name()):
        raw = run_trial(replace(trial, kind="raw"), store)  # which tunes nothing
        thread.start()
        assert waiting.wait(60)
        assert not [sign for sign in signs if sign.stage == "tune" and sign.done]
    thread.join(60)
    assert made[0].tuned is not None
    with device_lock(device_name()):
        assert run_trial(trial, store).reused
        assert run_trial(replace(trial, kind="raw"), store).scores == raw.scores


def test_the_timeout_of_tuning_holds_for_a_trial(trial: Trial, store: Store) -> None:
    recipe = with_tuning(trial.recipe, timeout_minutes=0.001)
    with pytest.raises(TuningError, match=r"within tuning\.timeout_minutes \(0\.001\)"):
        run_trial(replace(trial, recipe=recipe), store)


def test_the_timeout_of_tuning_holds_for_the_chain_of_verify(
    recipe: Recipe, trial: Trial, store: Store
) -> None:
    limited = with_tuning(recipe, timeout_minutes=0.001)
    with pytest.raises(TuningError, match=r"within tuning\.timeout_minutes \(0\.001\)"):
        run_chain(limited, trial.base, store)


def test_a_raw_trial_is_untuned_with_the_given_pooling(trial: Trial, store: Store) -> None:
    found = {
        pooling: run_trial(replace(trial, kind="raw", pooling=pooling), store)
        for pooling in ("cls", "mean", None)
    }
    assert not (store.root / "stages" / "tune").exists()
    keys = {pooling: result.evaluation.key for pooling, result in found.items()}
    assert keys["cls"] != keys["mean"]
    assert keys[None] == keys["mean"]  # as the recipe tunes
    assert (found["cls"].tuned, found["cls"].tuning_seconds) == (None, 0.0)


def test_a_raw_trial_has_the_recipes_prompt(trial: Trial, store: Store) -> None:
    prompt = "{text} is one [MASK]"
    prompted = with_tuning(trial.recipe, prompt=prompt, pooling="last")
    made = run_trial(replace(trial, kind="raw", recipe=prompted), store)
    table = pq.read_table(made.evaluation.path / "predictions" / "own.parquet")
    for given, same in ((prompt, True), (None, False)):
        encoder = Encoder.load(Path(trial.base.folder), "last", 20, prompt=given)
        sides = (encoder.encode([pair[side] for pair in PAIRS]) for side in (0, 1))
        assert np.allclose(cosines(*sides), table["predicted"].to_numpy(), atol=1e-5) is same


def test_random_weights_follow_the_trials_seed(trial: Trial, store: Store) -> None:
    raw = replace(trial, kind="raw", weights="random")
    other = replace(raw, recipe=with_tuning(trial.recipe, seed=7))
    keys = [run_trial(each, store).evaluation.key for each in (raw, other, replace(raw))]
    assert keys[0] == keys[2] != keys[1]
    assert keys[0] != run_trial(replace(trial, kind="raw"), store).evaluation.key


def test_settings_are_checked_as_in_a_recipe(recipe: Recipe) -> None:
    assert with_tuning(recipe, mask_length=0, seed=5).tuning.mask_length == 0
    assert with_tuning(recipe).tuning == recipe.tuning
    with pytest.raises(RecipeError, match=r"tuning.mask_lenght: unknown key"):
        with_tuning(recipe, mask_lenght=2)
    with pytest.raises(RecipeError, match="`augmentation` none and `mask_length` 0"):
        with_tuning(recipe, augmentation="none", mask_length=0)
    with pytest.raises(RecipeError, match=r"en-trades with language.x = 1 has"):
        with_changes(recipe, {"language.x": 1})


def test_a_changed_mode_brings_its_defaults_under_the_other_changes(recipe: Recipe) -> None:
    changed = with_tuning(recipe, mode="paper", max_tokens=30).tuning
    assert (changed.pooling, changed.inference_max_tokens) == ("mean-with-padding", 64)
    assert (changed.max_tokens, changed.batch_size) == (30, 8)
    crops = with_tuning(recipe, views="crops", epochs=2, batch_size=8).tuning
    assert (crops.temperature, crops.epochs) == (0.05, 2)
    assert crops.max_tokens == 20  # the recipe's own
    assert crops.pooling == recipe.tuning.pooling


@pytest.fixture
def reused(trial: Trial, store: Store) -> Callable[[], bool]:
    run_trial(trial, store)
    return lambda: run_trial(trial, store).reused


def test_what_is_damaged_is_made_again(reused: Callable[[], bool], store: Store) -> None:
    [scores] = (store.root / "stages" / "evaluation").glob("*/scores.json")
    scores.write_text("{}")
    assert not reused()
    assert reused()


def test_raw_and_tuned_search_the_passages_that_labelled_pairs_leave(
    trial: Trial, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mirror.evaluation.benchmark.DEFINITIONS", DEFINITIONS)
    text = Path(trial.recipe.corpus.paths[0]).read_text().splitlines()
    firsts = [json.loads(line)["text"].partition(". ")[0] + "." for line in text[:40]]
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("first\tsecond\n" + "".join(f"{one}\tsomething\n" for one in firsts))
    searching = with_changes(trial.recipe, {"evaluation.benchmarks": ["passage-retrieval"]})
    paired = with_changes(searching, {"pairs": {"paths": [str(pairs)]}})
    counts = [
        run_trial(replace(trial, recipe=recipe, kind=kind), store).details["passage-retrieval"]["n"]
        for recipe, kind in ((searching, "raw"), (paired, "raw"), (paired, "tuned"))
    ]
    assert counts[0] > counts[1] == counts[2]
