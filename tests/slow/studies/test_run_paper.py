"""The paper's tables from the command line, with recipes in the paper's place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mirror.evaluation import benchmark
from mirror.experiments import paper_plan, published
from tests.fixtures.flows import run_in_process

RECIPE = """
language = "en"
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
revision = "0123456789abcdef0123456789abcdef01234567"
[tuning]
views = "identity"
batch_size = 8
max_tokens = 20
[evaluation]
benchmarks = ["own"]
[registry]
model = "mirror-trades"
"""
TABLE = """
id = "T8"
title = "Noise"
metric = "Spearman's rho"
tolerance = 0.01
recipe = "tiny"
benchmark = "own"
[[columns]]
key = "own"
[[rows]]
key = "full"
label = "noise"
kind = "tuned"
values = [0.3]
[[rows]]
key = "raw"
label = "plain"
kind = "raw"
pooling = "cls"
values = [0.2]
[[orderings]]
text = "Tuning helps."
order = ["full/own", "raw/own"]
"""
PAIRS = [
    "sentence1\tsentence2\tscore",
    "the baker sells a mirror\tthe baker sells one mirror\t5",
    "a wet letter\ta wet ladder\t3",
    "the pilot hides\ttwo kettles\t1",
    "a quiet garden\tthe miner counts\t0",
]


@pytest.fixture(scope="module")
def printed(
    prefect_api: str,
    tiny_base: Path,
    sentences: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[str]]:
    """Return the command's output of a first and of a second run."""
    here = tmp_path_factory.mktemp("paper-project")
    (here / "base").symlink_to(tiny_base)
    for folder in ("recipes", "tables"):
        (here / folder).mkdir()
    text = here / "text.txt"
    text.write_text("".join(f"{line.capitalize()}.\n" for line in sentences[:100]))
    (here / "recipes" / "tiny.toml").write_text(RECIPE.format(text=json.dumps(str(text))))
    (here / "own.tsv").write_text("\n".join(PAIRS) + "\n")
    (here / "own.toml").write_text('task = "similarity"\nfile = "own.tsv"\n')
    (here / "tables" / "01-noise.toml").write_text(TABLE)
    arguments = ["study", "--paper", "--tables", "8", "--seeds", "42,33"]
    arguments += ["--stand-in", str(here / "base"), "--out", str(here / "out.md")]
    home = here / "home"
    variables = {"MIRROR_HOME": str(home), "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"}
    outputs = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "DEFINITIONS", here)
        patch.setattr(paper_plan, "PAPER_RECIPES", here / "recipes")
        patch.setattr(published, "TABLES", here / "tables")
        for _ in range(2):
            done = run_in_process(arguments, prefect_api, **variables)
            assert done.returncode == 0, done.stderr
            outputs.append(done.stdout)
    return here, outputs


def test_the_tables_are_printed_and_written(printed: tuple[Path, list[str]]) -> None:
    here, (first, _) = printed
    for text in (
        "T8: Noise",
        "someone/some-base is not on this machine: --base someone/some-base=PATH, or --download",
        "cells: 0 reproduced, 0 better, 0 worse, 2 not run",
        str(here / "home" / "studies" / "paper" / "report.html"),
    ):
        assert text in first
    results = json.loads((here / "home" / "studies" / "paper" / "results.json").read_text())
    cells = {cell["row"]: cell for cell in results["cells"] if cell["base"] == "stand-in"}
    assert (len(cells["full"]["values"]), len(cells["raw"]["values"])) == (2, 1)
    text = (here / "out.md").read_text()
    assert "mirror study --paper --tables 8 --seeds 42,33 --stand-in base" in text
    assert str(here) not in text


def test_a_second_run_reuses_all_and_prints_the_same(printed: tuple[Path, list[str]]) -> None:
    here, (first, second) = printed
    assert second == first
    # One sample; a tuned encoder for each seed; these and the raw base measured.
    stages = here / "home" / "stages"
    made = {name: len(list((stages / name).iterdir())) for name in ("sample", "tune", "evaluation")}
    assert made == {"sample": 1, "tune": 2, "evaluation": 3}
