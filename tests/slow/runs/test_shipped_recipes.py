"""Every shipped recipe from text to scores, on stand-ins for text and base in its language."""

from __future__ import annotations

import json
import random
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import wordfreq

from mirror import pipeline
from mirror.encoders.base_model import find_base
from mirror.evaluation import benchmark
from mirror.paths import RECIPES
from mirror.pretraining.model import train_wordpiece
from mirror.recipe import parse_recipe, recipe_names
from mirror.store import Store
from mirror.tuning.stage import tune_in_process

DOCUMENTS = 300
ESTONIAN = (  # noqa: SIM905
    "ja on ei et see ta oli kui aga ka nii mis siis oma ning välja üle veel juba kes pärast mees "
    "naine laps maja tänav linn jõgi mets meri päev öö aasta hommik õhtu vana noor suur väike ilus "
    "kaunis kiire aeglane läheb tuleb näeb kuuleb räägib kirjutab loeb ostab müüb ehitab võtab "
    "annab teab mõtleb armastab ootab leiab kaotab alustab lõpetab jookseb seisab istub magab"
).split()
UNSPACED = ("ja", "zh")


@cache
def words_of(language: str) -> list[str]:
    """Return frequent words of a language."""
    if language == "et":
        return ESTONIAN
    return [word for word in wordfreq.top_n_list(language, 6_000) if word.isalpha()]


def document(language: str, number: int) -> dict[str, str]:
    """Return a title and five sentences of a language's words, other ones for each number."""
    drawn = random.Random(f"{language} {number}")
    words, space = words_of(language)[:400], "" if language in UNSPACED else " "
    stop = "。" if language in UNSPACED else ". "
    lines = [space.join(drawn.choices(words, k=12)).capitalize() for _ in range(6)]
    return {"title": lines[0], "text": "".join(f"{line}{stop}" for line in lines[1:])}


@pytest.fixture(scope="module")
def base_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a tiny masked language model of a language, once."""
    import torch
    from transformers import BertConfig, BertForMaskedLM

    @cache
    def make(language: str) -> Path:
        folder = tmp_path_factory.mktemp("bases") / language
        texts = [*words_of(language), *(document(language, n)["text"] for n in range(100))]
        tokenizer = train_wordpiece(2 * texts, size=4_000, lowercase=False, max_tokens=128)
        tokenizer.save_pretrained(folder)
        sizes = {"hidden_size": 32, "intermediate_size": 64, "max_position_embeddings": 128}
        layers = {"num_hidden_layers": 2, "num_attention_heads": 2}
        torch.manual_seed(0)
        BertForMaskedLM(BertConfig(vocab_size=len(tokenizer), **sizes, **layers)).save_pretrained(
            folder
        )
        return folder

    return make


@pytest.fixture
def stand_in_benchmarks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace benchmarks with labels by a table of word pairs; those without need no stand-in."""
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    shipped = benchmark.DEFINITIONS
    monkeypatch.setattr(benchmark, "DEFINITIONS", folder)

    def write(names: list[str], language: str) -> None:
        words = words_of(language)
        drawn = random.Random(language)
        rows = [f"{drawn.choice(words)}\t{drawn.choice(words)}\t{n % 7}" for n in range(100)]
        (folder / "pairs.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *rows]))
        for name in names:
            own = 'task = "similarity"\nfile = "pairs.tsv"\n'
            text = (shipped / f"{name}.toml").read_text()
            (folder / f"{name}.toml").write_text(text if "-retrieval" in name else own)

    return write


def stand_in_corpus(corpus: dict[str, Any], language: str, folder: Path) -> dict[str, Any]:
    """Return a `[corpus]` of the same source, with the same columns, on this machine."""
    if corpus["source"] == "hub":
        dataset = folder / "dataset"
        dataset.mkdir()
        rows = (document(language, number) for number in range(DOCUMENTS))
        (dataset / f"{corpus.get('split', 'train')}.jsonl").write_text(
            "".join(f"{json.dumps(row)}\n" for row in rows)
        )
        data_files = {key: corpus[key] for key in corpus if key not in ("subset", "revision")}
        return {**data_files, "dataset": str(dataset), "split": "train"}
    if corpus["source"] == "published":
        (folder / "words.txt").write_text("\n".join(f"{a}{b}" for a in ESTONIAN for b in ESTONIAN))
        return {"source": "files", "paths": [str(folder / "words.txt")], "split_into": "lines"}
    return corpus


@pytest.mark.parametrize("name", [name for name in recipe_names() if name != "en-python-docs"])
def test_a_shipped_recipe_runs_from_text_to_scores(
    name: str,
    base_of: Callable[[str], Path],
    stand_in_benchmarks: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = tomllib.loads((RECIPES / f"{name}.toml").read_text())
    language = content["language"]
    content["corpus"] = stand_in_corpus(content["corpus"], language, tmp_path)
    content["base"] = {"path": str(base_of(language))}
    content["sample"] = {"size": 300}
    stand_in_benchmarks(content["evaluation"]["benchmarks"], language)
    recipe = parse_recipe(content, name=name, source=name)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(pipeline, "tune_encoder", tune_in_process)  # a process takes seconds
    results = pipeline.run_chain(
        recipe, find_base(recipe.base, Path), Store(tmp_path / "workspace")
    )
    rejected = results.corpus.counts["rejected"]
    assert sum(rejected.values()) < 0.2 * results.corpus.counts["kept"], rejected
    assert "crops" in results.recipe.tuning.views or content["level"] == "word"
    scores = json.loads((results.after.path / "scores.json").read_text())
    assert set(content["evaluation"]["benchmarks"]) <= set(scores)
