"""An invented paper: one table, its recipes, a benchmark of four pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mirror.experiments.published import Table, read_table

PAIRS = [
    ("the baker sells a mirror", "the baker sells a mirror", 5),
    ("a wet letter", "a wet ladder", 3),
    ("the pilot hides", "two red kettles and a wagon", 1),
    ("a quiet garden", "the miner counts lanterns", 0),
]
REVISION = "0123456789abcdef0123456789abcdef01234567"
RECIPE = """
language = "{language}"
domain = "trades"
level = "sentence"
[corpus]
source = "files"
paths = [{text}]
check_language = false
[sample]
size = 32
[base]
hub = "someone/some-base"
revision = "{revision}"
[tuning]
batch_size = 8
max_tokens = 20
precision = "fp32"
[evaluation]
benchmarks = ["own"]
[registry]
model = "mirror-trades"
"""
TABLE = """
id = "T8"
also = ["T18"]
title = "Noise <b>& marks</b>"
metric = "Spearman's rho"
tolerance = 0.01
recipe = "en-trades"
[[columns]]
key = "own"
benchmark = "own"
[[columns]]
key = "strict"
recipe = "fr-trades"
benchmark = "own"
settings = { temperature = 0.1 }
[[columns]]
key = "missing"
benchmark = "not-there"
[[columns]]
key = "avg"
mean = true
[[rows]]
key = "other"
label = "Another method"
kind = "published-only"
values = [0.9, 0.9, 0.9, 0.9]
[[rows]]
key = "raw"
label = "Base | plain"
kind = "raw"
pooling = "cls"
values = [0.1, 0.1, 0.1, 0.1]
[[rows]]
key = "full"
label = "Base + Mirror"
kind = "tuned"
values = [0.3, 0.3, 0.3, 0.3]
[[rows]]
key = "no-noise"
label = "no noise"
kind = "tuned"
settings = { dropout = 0.0 }
values = [0.2, 0.2, 0.2, 0.2]
[[claims]]
text = "Tuning helps, noise more."
order = ["full/own", "no-noise/own", "raw/own"]
"""


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """Three rows to run and one that is quoted; one benchmark has no definition."""
    path = tmp_path / "01-noise.toml"
    path.write_text(TABLE)
    return read_table(path)


@pytest.fixture
def invented(
    tmp_path: Path, sentences: list[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Puts recipes and a benchmark in the place of the project's; gives the text's path."""

    def put() -> Path:
        text = tmp_path / "text.txt"
        text.write_text("".join(f"{line.capitalize()}.\n" for line in sentences[:100]))
        recipes, definitions = tmp_path / "recipes", tmp_path / "definitions"
        for folder in (recipes, definitions):
            folder.mkdir()
        for language in ("en", "fr"):
            words: dict[str, Any] = {
                "language": language,
                "text": json.dumps(str(text)),
                "revision": REVISION,
            }
            (recipes / f"{language}-trades.toml").write_text(RECIPE.format(**words))
        rows = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in PAIRS)]
        (definitions / "own.tsv").write_text("\n".join(rows) + "\n")
        (definitions / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
        monkeypatch.setattr("mirror.evaluation.benchmark.DEFINITIONS", definitions)
        monkeypatch.setattr("mirror.experiments.paper_plan.FOLDER", recipes)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        return text

    return put
