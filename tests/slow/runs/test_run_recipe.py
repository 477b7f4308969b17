"""Whole runs as users start them, each in a process of its own."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.evaluation.kinds.retrieval import held_out_passages
from mirror.formatting import score
from mirror.release.run_record import RunRecord, find_record, find_stage
from mirror.run_data import RunData
from tests.fixtures.flows import assert_results_printed, with_record

MODEL = "mirror-en-tiny"


@pytest.fixture(scope="module")
def first(reference_run: SimpleNamespace) -> SimpleNamespace:
    """The first run, which ended well, with its record."""
    return with_record(reference_run)


@pytest.fixture(scope="module")
def elsewhere(
    tmp_path_factory: pytest.TempPathFactory,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
    tiny_base: Path,
) -> SimpleNamespace:
    """The same from scratch in this process, in another workspace, from files of another folder.

    The recipe's base is on a hub, and the folder is named in its place.
    """
    folder = tmp_path_factory.mktemp("from-scratch")
    recipe, home = copy_recipe(folder), seeded(folder / "other" / "home", stages=())
    hub = f'hub = "a/b"\nrevision = "{"0" * 40}"'
    recipe.write_text(re.sub(r"(?<=\[base\]\n)path = .*", hub, recipe.read_text()))
    done = run_here(recipe, home, "--base", str(tiny_base))
    return with_record(SimpleNamespace(home=home, recipe=recipe, done=done))


def weights(record: RunRecord) -> str:
    return hashlib.sha256((Path(record.encoder) / "model.safetensors").read_bytes()).hexdigest()


def made_strings(record: RunRecord) -> str:
    sample = find_stage(record, "sample")
    return hashlib.sha256((sample.path / "strings.parquet").read_bytes()).hexdigest()


def test_a_run_prints_its_results(first: SimpleNamespace) -> None:
    assert_results_printed(first)


def test_two_runs_from_scratch_make_the_same_bytes_wherever_the_base_is_named(
    first: SimpleNamespace, elsewhere: SimpleNamespace
) -> None:
    assert elsewhere.record.encoder != first.record.encoder
    assert made_strings(elsewhere.record) == made_strings(first.record)
    assert weights(elsewhere.record) == weights(first.record)


def test_labelled_pairs_are_tuned_on_and_named(
    tmp_path: Path,
    copy_recipe: Callable[[Path], Path],
    seeded: Callable[..., Path],
    run_here: Callable[..., Any],
    sentences: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    recipe, home = copy_recipe(tmp_path), seeded(tmp_path / "home", stages=("corpus",))
    stood = [f"{line.capitalize()}." for line in sentences[:40]]  # as the text has them
    lines = [f"{a}\t{b}\n" for a, b in zip(stood[:20], stood[20:], strict=True)]
    (tmp_path / "pairs.tsv").write_text("first\tsecond\n" + "".join(lines))
    with recipe.open("a") as file:
        file.write(f'[pairs]\npaths = ["{tmp_path / "pairs.tsv"}"]\n')
    done = run_here(recipe, home)
    assert done.returncode == 0, done.stderr
    record = find_record(home)
    stages = [line.stage for line in record.stages]
    assert stages[:5] == ["corpus", "pairs", "profile", "sample", "tune"]
    assert find_stage(record, "tune").counts["strings"] == 32 + 20
    corpus, sample, pairs = (find_stage(record, name) for name in ("corpus", "sample", "pairs"))
    [line] = record.scores
    assert line.n == len(held_out_passages(RunData(corpus, sample, pairs)).queries)
    assert line.n < len(held_out_passages(RunData(corpus, sample)).queries)
    options = ("--benchmarks", line.benchmark, "--recipe", "en-tiny")
    monkeypatch.setenv("MIRROR_HOME", str(home))
    assert run_guarded(mirror, ["evaluate", record.encoder, *options]) == 0
    [printed] = [row for row in capsys.readouterr().out.splitlines() if line.benchmark in row]
    assert str(line.n) in printed.split() and score(line.after) in printed.split()
    assert "Labelled pairs were used too." in (Path(record.encoder) / "README.md").read_text()
