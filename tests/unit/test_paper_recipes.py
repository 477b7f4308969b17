"""The paper's recipes: faithful, pinned, complete, and they run on a base in their own's place."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mirror.corpus.ingest import ingest_corpus
from mirror.corpus.sources.files import FilesSection
from mirror.download import is_declared
from mirror.encoders.base_model import base_digest, choose_base
from mirror.encoders.encoder_ref import EncoderRef
from mirror.evaluation.benchmark import definition_names
from mirror.paths import CHECKOUT
from mirror.recipe import PAPER_RECIPES, BaseSection, find_recipe, recipe_names
from mirror.sampling.sample import sample_strings
from mirror.store import Store
from mirror.tuning.stage import tune_in_process

PAPER = recipe_names(PAPER_RECIPES)
ROBERTA_TOKENS = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_of_the_papers_is_faithful_pinned_and_measured(name: str) -> None:
    recipe = find_recipe(name)
    assert recipe.name == name
    assert name.startswith(f"paper-{recipe.language}-")
    assert recipe.tuning.mode == "paper"
    assert recipe.base.hub and recipe.base.revision
    assert recipe.base.hub.count("/") == 1
    assert set(recipe.evaluation.benchmarks) <= set(definition_names())
    assert recipe.registry.model == f"mirror-{name}"
    assert name not in (CHECKOUT / "prefect.yaml").read_text()


@pytest.mark.parametrize("name", PAPER)
def test_a_recipe_of_the_papers_has_lists_that_anyone_can_get(name: str) -> None:
    corpus = find_recipe(name).corpus
    assert corpus.split_into == "lines"
    if corpus.source == "files":
        assert all(path in corpus.download_instructions for path in corpus.paths)
    else:
        assert corpus.keep_raw
        for file in corpus.files:
            assert file.url is not None
            assert re.search(r"/[0-9a-f]{40}/", file.url), "an address that does not change"


@pytest.mark.parametrize("name", PAPER)
def test_a_folder_can_stand_in_the_place_of_a_recipes_base(name: str, tiny_base: Path) -> None:
    recipe = find_recipe(name)
    chosen = choose_base(recipe, str(tiny_base))
    assert chosen.base == BaseSection(path=str(tiny_base))
    assert chosen.model_copy(update={"base": recipe.base}) == recipe


def test_the_papers_stems_are_no_other_recipes() -> None:
    assert PAPER
    assert not set(PAPER) & set(recipe_names())


def test_the_papers_recipes_say_what_is_listed_of_them() -> None:
    table = (PAPER_RECIPES / "README.md").read_text()
    for name in PAPER:
        text = (PAPER_RECIPES / f"{name}.toml").read_text()
        assert f"# Run it with: mirror run {name}\n" in text
        if "no model.safetensors" in text:
            assert str(find_recipe(name).base.hub) in table


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_lists_are_those_declared_and_fill_the_sample(shared: Path, name: str) -> None:
    recipe = find_recipe(name)
    lines = 0
    for file in getattr(recipe.corpus, "files", ()):
        path = shared / "corpora" / file.path
        if not path.exists():
            pytest.skip(f"{file.path} is not at hand")
        assert is_declared(path, file)
        lines += path.read_bytes().count(b"\n")
    assert not lines or lines == recipe.sample.size


def test_every_row_of_the_paper_that_we_can_run_has_a_recipe() -> None:
    words = {f"{language}-word" for language in ("en", "fr", "et", "ar", "zh", "ru", "es", "pl")}
    sentences = {f"{language}-sentence" for language in ("es", "ar", "ru")}
    both = {f"paper-{row}-{base}" for row in words | sentences for base in ("bert", "mbert")}
    english = {"en-sentence-bert", "en-sentence-roberta", "en-qnli-bert", "en-qnli-roberta"}
    english |= {"en-sentence-bert-drophead", "en-sentence-roberta-drophead"}
    english |= {"en-name-bert", "en-name-pubmedbert", "it-word-bert", "tr-word-bert"}
    pairs = ("en-fr", "en-zh", "en-he", "fr-zh", "fr-he", "zh-he")
    across = {f"paper-{pair}-word-mbert" for pair in pairs}
    assert both | across | {f"paper-{name}" for name in english} <= set(PAPER)


@pytest.mark.parametrize(
    ("name", "pooling", "dropout", "drophead", "mask_length", "epochs"),
    [
        ("en-sentence-bert", "mean-with-padding", 0.1, 0.0, 5, 1),
        ("en-sentence-roberta", "cls", 0.1, 0.0, 5, 1),
        ("en-sentence-bert-drophead", "mean-with-padding", 0.0, 0.2, 5, 1),
        ("en-sentence-roberta-drophead", "cls", 0.0, 0.05, 5, 1),
        ("en-qnli-roberta", "cls", 0.1, 0.0, 5, 1),
        ("ar-sentence-mbert", "mean-with-padding", 0.1, 0.0, 5, 1),
        ("zh-word-bert", "cls", 0.1, 0.0, 0, 2),
        ("en-name-pubmedbert", "cls", 0.1, 0.0, 2, 2),
    ],
)
def test_settings_are_those_of_the_papers_section_3(
    name: str, pooling: str, dropout: float, drophead: float, mask_length: int, epochs: int
) -> None:
    tuning = find_recipe(f"paper-{name}").tuning
    assert (tuning.pooling, tuning.mask_length, tuning.epochs) == (pooling, mask_length, epochs)
    assert (tuning.dropout_rate, tuning.drophead_rate) == (dropout, drophead)
    assert (tuning.batch_size, tuning.learning_rate, tuning.weight_decay) == (200, 2e-5, 0.01)
    assert (tuning.inference_max_tokens, tuning.lowercase) == (64, True)
    assert (tuning.masking, tuning.duplicates) == ("characters-paper", "negatives")


def test_the_spanish_words_of_the_official_code_are_estonian_and_ours_are_not() -> None:
    estonian, official, corrected = (
        find_recipe(f"paper-{name}").corpus.files[0].sha256
        for name in ("et-word-bert", "es-word-bert", "es-word-bert-corrected")
    )
    assert official == estonian != corrected


@pytest.fixture(scope="module")
def tiny_roberta(
    tmp_path_factory: pytest.TempPathFactory, write_tokenizer: Callable[..., dict[str, int]]
) -> Path:
    """RoBERTa's shape, with weights large enough that random vectors differ."""
    import torch
    from transformers import RobertaConfig, RobertaForMaskedLM

    folder = tmp_path_factory.mktemp("bases") / "tiny-roberta"
    ids = write_tokenizer(folder, ROBERTA_TOKENS)
    config = RobertaConfig(
        vocab_size=len(ids),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=66,
        initializer_range=0.5,
        pad_token_id=ids["<pad>"],
    )
    torch.manual_seed(0)
    RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("name", "base", "steps"),
    [
        ("paper-en-sentence-bert", "tiny_base", 2),
        ("paper-en-sentence-roberta-drophead", "tiny_roberta", 2),
        ("paper-ar-word-bert", "tiny_base", 4),
        ("paper-en-name-pubmedbert", "tiny_base", 4),
    ],
)
def test_it_runs_on_a_folder_in_its_bases_place(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    store: Store,
    sentences: list[str],
    name: str,
    base: str,
    steps: int,
) -> None:
    folder: Path = request.getfixturevalue(base)
    (tmp_path / "list.txt").write_text(
        "".join(f"{line}\n" for line in [*sentences[:390]] + ["x"] * 10)
    )
    recipe = find_recipe(name)
    corpus = FilesSection(
        source="files",
        paths=(str(tmp_path / "list.txt"),),
        split_into="lines",
        keep_raw=recipe.corpus.keep_raw,
    )
    size = 400 if recipe.corpus.keep_raw else 391
    recipe = recipe.model_copy(
        update={
            "base": BaseSection(path=str(folder)),
            "corpus": corpus,
            "sample": recipe.sample.model_copy(update={"size": size}),
            "tuning": recipe.tuning.model_copy(update={"batch_size": 195}),
        }
    )
    snapshot = ingest_corpus(recipe, store)
    strings = sample_strings(recipe, snapshot, store)
    drawn = pq.read_table(strings.path / "strings.parquet")["text"].to_pylist()
    assert drawn.count("x") == (10 if recipe.corpus.keep_raw else 1)
    tuned = tune_in_process(
        recipe, strings, EncoderRef(str(folder), base_digest(folder), base), store
    )
    assert tuned.counts["steps"] == steps
    assert (tuned.path / "encoder" / "model.safetensors").is_file()
