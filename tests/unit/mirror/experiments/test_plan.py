"""Plan of a study: encoders and strings, checked before a trial runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.encoders.base_model import find_base
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BaseModelError, BenchmarkError, CorpusError, RecipeError, StudyError
from mirror.evaluation.benchmark import DEFINITIONS
from mirror.experiments.plan import ExperimentPlan, StudyOptions, plan_study
from mirror.experiments.study import Study, find_study
from mirror.experiments.trial import with_changes
from mirror.recipe import BaseSection
from mirror.store import Store
from tests.fixtures.recipes import make_recipe


def find(section: BaseSection) -> EncoderRef:
    return find_base(section, lambda uri: Path(uri))


@pytest.fixture
def plan(store: Store, tiny_base: Path, tmp_path: Path) -> Callable[..., ExperimentPlan]:
    """Plan a study, or the study of that name, on label-free retrieval and the tiny base."""

    def make(study: Study | str, **options: Any) -> ExperimentPlan:
        chosen_study = find_study(study) if isinstance(study, str) else study
        chosen = {"base": str(tiny_base), "benchmarks": ("passage-retrieval",), **options}
        return plan_study(chosen_study, StudyOptions(**chosen), find, store)

    return make


def test_every_variant_has_a_trial_for_every_seed(plan: Callable[..., ExperimentPlan]) -> None:
    made = plan("mask-length", seeds=(1, 2), strings=300)
    assert [(t.recipe.tuning.mask_length, t.seed) for t in made.trials] == [
        (k, seed) for k in (2, 5, 10, 15, 20) for seed in (1, 2)
    ]
    assert len({(trial.label, trial.seed) for trial in made.trials}) == 10
    assert {trial.recipe.sample.size for trial in made.trials} == {300}
    assert made.strings == 10 * 300
    assert made.estimate().startswith("mask-length: 5 encoders, 10 trials over 2 seed(s), 3,000 ")


def test_other_settings_are_the_papers(plan: Callable[..., ExperimentPlan]) -> None:
    tuning = plan("mask-length").trials[0].recipe.tuning
    assert (tuning.temperature, tuning.epochs, tuning.max_tokens) == (0.04, 1, 50)
    assert (tuning.pooling, tuning.learning_rate, tuning.batch_size) == ("mean", 2e-5, 200)


def test_strings_are_the_shipped_ones_a_file_or_a_recipes(
    plan: Callable[..., ExperimentPlan], tmp_path: Path, tiny_base: Path
) -> None:
    assert plan("mask-length").trials[0].recipe.corpus.source == "docstrings"
    text = tmp_path / "text.txt"
    text.write_text("the baker sells one mirror\n")
    file = plan("mask-length", corpus=str(text)).trials[0].recipe.corpus
    assert (file.source, file.paths) == ("files", (str(text),))
    with pytest.raises(CorpusError, match=r"gone\.parquet"):
        plan("mask-length", corpus=str(tmp_path / "gone.parquet"))
    path = tmp_path / "own.toml"
    path.write_text(
        f"""
        language = "de"
        domain = "own"
        level = "sentence"
        corpus = {{ source = "files", paths = [{json.dumps(str(text))}] }}
        base = {{ path = {json.dumps(str(tiny_base))} }}
        tuning = {{ temperature = 0.5, mask_length = 7 }}
        evaluation = {{ benchmarks = ["stsb"] }}
        registry = {{ model = "own" }}
        """
    )
    trial = plan("mask-length", recipes=(str(path),), base="", seeds=(1,)).trials[1]
    assert (trial.recipe.language, trial.recipe.corpus.paths) == ("de", (str(text),))
    assert (trial.recipe.tuning.temperature, trial.recipe.tuning.mask_length) == (0.5, 5)
    assert (trial.base.folder, trial.base.origin) == (str(tiny_base), str(tiny_base))
    with pytest.raises(StudyError, match="own and own are both of level 'sentence'"):
        plan("mask-length", recipes=(str(path), str(path)))


def test_a_raw_base_is_scored_once_and_random_weights_with_every_seed(
    plan: Callable[..., ExperimentPlan],
) -> None:
    made = plan("random-weights", levels=("sentence",), seeds=(1, 2))
    assert [trial.key for trial in made.trials] == [
        (f"random-weights, sentence, {label}", seed)
        for label, seeds in (
            ("random weights", (1, 2)),
            ("random weights, tuned", (1, 2)),
            ("base", (1,)),
            ("base, tuned", (1, 2)),
        )
        for seed in seeds
    ]
    assert made.strings == 4 * 10_000


def test_random_strings_replace_the_words(
    plan: Callable[..., ExperimentPlan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mirror.evaluation.benchmark.DEFINITIONS", tmp_path)
    (tmp_path / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
    (tmp_path / "own.tsv").write_text("sentence1\tsentence2\tscore\na\tb\t1\n")
    made = plan("random-strings", strings=240, seeds=(1,), benchmarks=("own",))
    corpora = [trial.recipe.corpus for trial in made.trials]
    assert [corpus.source for corpus in corpora] == ["wordfreq", "files", "files", "wordfreq"]
    assert len(Path(corpora[1].paths[0]).read_text().split()) == 240
    assert corpora[1].split_into == "lines"
    assert made.trials[0].pooling == "mean"
    assert [t.recipe.tuning.learning_rate for t in made.trials][1:3] == [2e-5, 5e-5]
    assert len(made.samples) == 2


def test_random_strings_replace_a_published_list(
    plan: Callable[..., ExperimentPlan],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tiny_base: Path,
) -> None:
    monkeypatch.setenv("MIRROR_CORPORA", str(tmp_path))
    monkeypatch.setattr("mirror.experiments.plan.check_benchmarks", lambda names: None)
    words = tmp_path / "words.txt"
    words.write_text("".join(f"word{'abcdefghij'[number]}\n" for number in range(10)))
    path = tmp_path / "listed.toml"
    path.write_text(
        f"""
        language = "en"
        domain = "listed"
        level = "word"
        [corpus]
        source = "published"
        split_into = "lines"
        keep_raw = true
        check_language = false
        files = [
            {{ path = "words.txt", sha256 = "{hashlib.sha256(words.read_bytes()).hexdigest()}" }}
        ]
        [sample]
        size = 10
        [base]
        path = {json.dumps(str(tiny_base))}
        [tuning]
        batch_size = 5
        [evaluation]
        benchmarks = ["stsb"]
        [registry]
        model = "listed"
        """
    )
    made = plan("random-strings", recipes=(str(path),), seeds=(1,), benchmarks=("stsb",))
    corpora = [trial.recipe.corpus for trial in made.trials]
    assert [corpus.source for corpus in corpora] == ["published", "files", "files", "published"]
    assert corpora[1].keep_raw
    assert len(Path(corpora[1].paths[0]).read_text().split()) == 10


def test_missing_data_suggests_a_benchmark_that_needs_none(
    plan: Callable[..., ExperimentPlan], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("mirror.evaluation.datasets.data_roots", lambda: (tmp_path / "empty",))
    with pytest.raises(BenchmarkError, match=r"no stsb/sts-dev.csv in") as fault:
        plan("masking", benchmarks=())
    assert "--benchmarks; title-retrieval needs no data" in str(fault.value)


def test_a_list_of_words_cannot_be_searched(plan: Callable[..., ExperimentPlan]) -> None:
    assert (DEFINITIONS / "passage-retrieval.toml").is_file()
    with pytest.raises(StudyError, match=r"list of words, which has none: .*--level.*--recipe"):
        plan("epochs")


def test_a_level_that_the_study_lacks_is_refused(plan: Callable[..., ExperimentPlan]) -> None:
    with pytest.raises(StudyError, match="no level 'word': choose from sentence"):
        plan("mask-length", levels=("word",))


def test_a_base_that_is_not_there_is_refused(plan: Callable[..., ExperimentPlan]) -> None:
    with pytest.raises(BaseModelError, match="no base model at"):
        plan("mask-length", base="/no/such/base")


def test_fewer_strings_than_a_batch_are_refused(plan: Callable[..., ExperimentPlan]) -> None:
    with pytest.raises(RecipeError, match=r"study mask-length on study-sentence.*\n.*batch_size"):
        plan("mask-length", strings=20)


def test_changed_views_bring_their_own_defaults_in_both_directions() -> None:
    recipe = make_recipe(tuning={"views": "crops", "seed": 7})
    assert recipe.tuning.validation_documents == 200
    identity = with_changes(recipe, {"tuning.views": "identity"})
    assert identity == make_recipe(tuning={"seed": 7})
    assert with_changes(identity, {"tuning.views": "crops"}) == recipe


def test_views_and_mode_change_together() -> None:
    recipe = make_recipe(tuning={"views": "crops", "seed": 7})
    changes = {"tuning.mode": "paper", "tuning.views": "identity"}
    assert with_changes(recipe, changes) == make_recipe(tuning={"mode": "paper", "seed": 7})


def test_without_validation_documents_nothing_is_merged() -> None:
    recipe = make_recipe(tuning={"views": "crops", "validation_documents": 0})
    assert recipe.tuning.merge_shares == (1.0,)
