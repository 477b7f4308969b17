"""Preflight: everything that is wrong, at once, before any long work."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mirror.errors import (
    BaseModelError,
    BenchmarkError,
    CorpusError,
    InputError,
    RecipeError,
    ServiceError,
    StoreError,
)
from mirror.evaluation import benchmark
from mirror.evaluation.datasets import DATA_ENV
from mirror.log_once import warn_once
from mirror.paths import workspace_root
from mirror.recipe import Recipe
from mirror.run_context import RunContext
from mirror.sampling import words
from mirror.store import Store
from tasks import preflight
from tasks.preflight import FREE_BYTES, check_run, check_space
from tests.fixtures.recipes import make_recipe

LIST = {"source": "docstrings", "split_into": "lines"}
MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def recipe_on(tiny_base: Path, tracking: str) -> MakeRecipe:
    """Make a recipe that can run, with some sections changed, and a tracking store."""

    def make(**changes: Any) -> Recipe:
        sections = {
            "corpus": {"source": "docstrings"},
            "base": {"path": str(tiny_base)},
            "evaluation": {"benchmarks": ["passage-retrieval"]},
            "registry": {"model": "mirror-en-trades"},
        }
        return make_recipe(**sections | changes)

    return make


def cut_weights(base: Path) -> None:
    weights = base / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5_000])


def take_mask_token(base: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        path = base / name
        path.write_text(path.read_text().replace("[MASK]", "[OTHER]"))
    path = base / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings.pop("mask_token")
    path.write_text(json.dumps(settings))


def no_space(monkeypatch: pytest.MonkeyPatch, free: int = FREE_BYTES - 1) -> None:
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: SimpleNamespace(free=free))


def wrong_checksum(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a benchmark `likeness` whose data is not what it declares."""
    data = folder / "data"
    data.mkdir()
    (data / "pairs.tsv").write_text("sentence1\tsentence2\tscore\na ladder\ta kettle\t1\n")
    file = f'{{path = "pairs.tsv", sha256 = "{"0" * 64}", url = "https://example.org/a"}}'
    text = f'task = "similarity"\nfiles = [{file}]\n'
    (folder / "likeness.toml").write_text(text)
    monkeypatch.setattr(benchmark, "DEFINITIONS", folder)
    monkeypatch.setenv(DATA_ENV, str(data))


def check_recipe(recipe: Recipe) -> RunContext:
    run = RunContext(recipe, Store(workspace_root()))
    check_run(run)
    return run


def test_a_checked_run_is_not_checked_again(
    recipe_on: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunContext(recipe_on(), Store(workspace_root()), ("en-trades", ""))
    check_run(run)
    assert run.is_checked
    monkeypatch.setattr(preflight, "check_run", lambda _: pytest.fail("checked twice"))
    monkeypatch.setattr(preflight, "check_notification_blocks", lambda: None)
    with preflight.hand_over(run):
        assert preflight.load_run("en-trades") is run
        preflight.check_ready.fn(run)
        with pytest.raises(RecipeError, match="no recipe is called"):
            preflight.load_run("another")
    with pytest.raises(RecipeError, match="no recipe is called"):
        preflight.load_run("en-trades")


def test_a_ready_recipe_passes(recipe_on: MakeRecipe, workspace: Path) -> None:
    assert check_recipe(recipe_on()).workspace == workspace


def test_a_run_that_continues_without_a_general_benchmark_is_warned_of(
    recipe_on: MakeRecipe, tiny_base: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    warn_once.cache_clear()
    monkeypatch.setattr(preflight, "fetch_model", lambda *_, **__: tiny_base)
    check_recipe(recipe_on(base={"registry": "models:/mirror-en-trades@champion"}))
    assert "no benchmark measures general quality" in caplog.text


def test_missing_text_is_named(recipe_on: MakeRecipe) -> None:
    with pytest.raises(CorpusError, match=r"no text at /no/text\.txt"):
        check_recipe(recipe_on(corpus={"source": "files", "paths": ["/no/text.txt"]}))


def test_a_language_whose_words_are_not_known_here_is_found(
    recipe_on: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="Khmer is written without spaces"):
        check_recipe(recipe_on(language="km", level="word"))
    monkeypatch.setattr(words, "missing_modules", lambda _: ["jieba"])
    with pytest.raises(InputError, match=r"words of Chinese need jieba.*\.\[zh\]"):
        check_recipe(recipe_on(language="zh", level="word"))
    assert check_recipe(recipe_on(language="zh"))
    assert check_recipe(recipe_on(language="zh", level="word", corpus=LIST))


def test_a_missing_base_is_named(recipe_on: MakeRecipe) -> None:
    with pytest.raises(BaseModelError, match=r"no base model at .*no/such-base.*base\.path"):
        check_recipe(recipe_on(base={"path": "no/such-base"}))


def test_cut_weights_are_found_before_they_are_loaded(recipe_on: MakeRecipe, base: Path) -> None:
    cut_weights(base)
    with pytest.raises(BaseModelError, match=r"model\.safetensors .*get it again"):
        check_recipe(recipe_on(base={"path": str(base)}))


def test_a_base_without_mask_token_is_refused_where_the_recipe_masks(
    recipe_on: MakeRecipe, base: Path
) -> None:
    take_mask_token(base)
    with pytest.raises(InputError, match=r"mask token.*mask_length"):
        check_recipe(recipe_on(base={"path": str(base)}))
    assert check_recipe(recipe_on(base={"path": str(base)}, tuning={"mask_length": 0}))


def test_more_tokens_than_the_base_takes_are_found(recipe_on: MakeRecipe) -> None:
    with pytest.raises(
        InputError, match=r"tuning\.inference_max_tokens is 128, .* takes 64 tokens"
    ):
        check_recipe(recipe_on(tuning={"inference_max_tokens": 128}))


def test_a_base_in_the_registry_is_asked_for(recipe_on: MakeRecipe) -> None:
    with pytest.raises(BaseModelError, match="has no models:/another@champion"):
        check_recipe(recipe_on(base={"registry": "models:/another@champion"}))


def test_a_wrong_checksum_is_found(
    recipe_on: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_checksum(tmp_path, monkeypatch)
    with pytest.raises(
        BenchmarkError, match=r"pairs\.tsv is not the file that was declared.*--fetch"
    ):
        check_recipe(recipe_on(evaluation={"benchmarks": ["likeness"]}))


def test_a_store_that_does_not_answer_is_found_in_seconds(
    recipe_on: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe_on()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"http://127\.0\.0\.1:1 did not answer"):
        check_recipe(recipe)
    assert time.monotonic() - began < 30


def test_a_number_of_runs_that_is_none_is_found_before_tuning(
    recipe_on: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIRROR_RUNS_PER_DEVICE", "abc")
    with pytest.raises(InputError, match="MIRROR_RUNS_PER_DEVICE is 'abc': set it to a number"):
        check_recipe(recipe_on())


def test_a_full_disk_is_reported_in_gigabytes(
    recipe_on: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_space(monkeypatch, free=1 << 30)
    with pytest.raises(StoreError, match=r"has 1\.0 GiB free and a run needs 2\.0"):
        check_recipe(recipe_on())


@pytest.mark.parametrize(("free", "fits"), [(100, True), (99, False)])
def test_just_enough_disk_space_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool
) -> None:
    no_space(monkeypatch, free)
    if fits:
        check_space(tmp_path, needed=100)
        return
    with pytest.raises(StoreError, match="free some"):
        check_space(tmp_path, needed=100)


def test_all_faults_are_reported_together(
    recipe_on: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong_checksum(tmp_path, monkeypatch)
    no_space(monkeypatch)
    recipe = recipe_on(
        language="km",
        level="word",
        corpus={"source": "files", "paths": ["/no/text.txt"]},
        base={"path": "no/such-base"},
        evaluation={"benchmarks": ["likeness"]},
    )
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    with pytest.raises(InputError, match="en-trades cannot run, for 6 reasons") as fault:
        check_recipe(recipe)
    expected = [
        "GiB free",
        "no text at",
        "without spaces",
        "no base model at",
        "pairs.tsv is not",
        "127.0.0.1:1 did not answer",
    ]
    lines = str(fault.value).splitlines()[1:]
    assert all(part in line for part, line in zip(expected, lines, strict=True))


def test_temporary_faults_are_distinguished(
    recipe_on: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task tries again after the first kind only."""
    recipe = recipe_on(base={"registry": "models:/another@champion"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ServiceError, match="for 2 reasons"):
        check_recipe(recipe)
    no_space(monkeypatch)
    with pytest.raises(InputError, match="for 3 reasons"):
        check_recipe(recipe)
