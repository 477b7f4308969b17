"""`mirror encode` and `mirror evaluate`."""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from tests.fixtures.flows import Command


@pytest.fixture
def run_encode(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., int]:
    """Return a function that runs `mirror encode` on the tiny base with `text` as its input."""

    def run(*arguments: str, text: str = "") -> int:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return run_guarded(mirror, ["encode", str(tiny_base), *arguments])

    return run


def test_encode_writes_the_encoders_embeddings(
    run_encode: Callable[..., int], tiny_base: Path, tmp_path: Path
) -> None:
    from mirror.encoders.encoder import Encoder

    path, texts = tmp_path / "vectors.npy", ["the baker sells one mirror", "a wet letter"]
    assert run_encode("--out", str(path), "--pooling", "cls", text="\n".join(texts)) == 0
    expected = Encoder.load(tiny_base, "cls").encode(texts)
    np.testing.assert_array_equal(np.load(path), expected)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "vectors.csv", "--pooling", "cls"], "ends in neither .npy nor .parquet"),
        (["--out", "vectors.npy", "--pooling", "cls"], "no text to encode"),
        (["missing.txt", "--out", "vectors.npy", "--pooling", "cls"], "missing.txt: name a file"),
        (["a.pdf", "--out", "vectors.npy", "--pooling", "cls"], "a.pdf is a PDF"),
        (["a.csv", "--out", "v.npy", "--pooling", "cls"], "set --text-column, --id-column or"),
    ],
)
def test_encode_refuses_faulty_arguments(
    run_encode: Callable[..., int],
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7")
    (tmp_path / "a.csv").write_text("body\nit squeaks\n")
    assert run_encode(*arguments) == 1
    assert message in capsys.readouterr().err
    assert list(tmp_path.glob("*.npy")) == []


def test_encode_writes_columns_of_a_table_with_the_encoders_digest(
    run_encode: Callable[..., int], tiny_base: Path, tmp_path: Path
) -> None:
    from mirror.encoders.embeddings_file import read_embeddings

    (tmp_path / "a.csv").write_text("key,body\n7,the baker sells one mirror\n8,a wet letter\n")
    columns = ("--text-column", "body", "--id-column", "key", "--precision", "int8")

    def written(*pooling: str) -> tuple[list[str], str]:
        path = str(tmp_path / "vectors.parquet")
        assert run_encode(str(tmp_path / "a.csv"), "--out", path, *columns, *pooling) == 0
        embeddings = read_embeddings(path)
        return list(embeddings.ids), embeddings.origin.encoder_digest

    ids, digest = written("--pooling", "cls")
    assert ids == ["7", "8"]
    assert written("--pooling", "cls")[1] == digest
    assert written("--pooling", "mean")[1] != digest


def test_encode_needs_a_pooling_for_a_plain_model(
    run_encode: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_encode("--out", str(tmp_path / "vectors.npy"), text="one") == 1
    assert "choose cls or mean" in capsys.readouterr().err


def test_encode_refuses_a_missing_folder(tmp_path: Path, command: Command) -> None:
    texts = tmp_path / "texts.txt"
    texts.write_text("one\n")
    out = str(tmp_path / "vectors.npy")
    assert "no encoder at no/folder" in command(
        "encode", "no/folder", str(texts), "--out", out, code=1
    )


def write_benchmark(folder: Path) -> Path:
    """Write a table of pairs and its definition."""
    rows = [
        ("the baker sells a mirror", "the baker sells a mirror", 5),
        ("a wet letter", "a wet ladder", 3),
        ("the pilot hides", "two red kettles and a wagon", 1),
        ("a quiet garden", "the miner counts lanterns", 0),
    ] * 4  # with fewer, a resample may repeat one pair, which has no rank
    lines = ["sentence1\tsentence2\tscore", *("\t".join(map(str, row)) for row in rows)]
    (folder / "own.tsv").write_text("\n".join(lines) + "\n")
    path = folder / "own.toml"
    path.write_text('task = "similarity"\nfile = "own.tsv"\n')
    return path


def test_evaluate_scores_a_users_benchmark(
    tiny_base: Path, tmp_path: Path, command: Command
) -> None:
    arguments = [str(tiny_base), "--pooling", "mean", "--benchmark", str(write_benchmark(tmp_path))]
    shown = command("evaluate", *arguments)
    assert "own" in shown
    assert "spearman" in shown


def test_evaluate_with_itself_as_baseline_finds_no_difference(
    tiny_base: Path, tmp_path: Path, command: Command
) -> None:
    arguments = [str(tiny_base), "--pooling", "mean", "--benchmark", str(write_benchmark(tmp_path))]
    shown = command("evaluate", *arguments, "--baseline", str(tiny_base))
    assert "+.000 to +.000" in shown
    assert "95% interval" in shown


def test_evaluate_refuses_an_unknwrite_benchmark_before_loading(
    command: Command,
) -> None:
    assert "no benchmark at" in command("evaluate", "no/folder", "--benchmarks", "nonsense", code=1)


def test_a_target_encoder_needs_a_lexicon(tmp_path: Path, command: Command) -> None:
    arguments = ["evaluate", "no/folder", "--target-encoder", "other", "--benchmark"]
    assert "for the target language of a lexicon" in command(
        *arguments, str(write_benchmark(tmp_path)), code=1
    )


def write_lexicon(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a lexicon that maps each word to itself, in a training and a test file."""
    monkeypatch.setenv("MIRROR_BENCHMARKS", str(folder))
    files = ""
    for name, words in (("train", ("baker", "farmer", "pilot")), ("test", ("judge", "miner"))):
        text = "".join(f"{word}\t{word}\n" for word in words)
        (folder / f"{name}.tsv").write_text(text)
        digest = hashlib.sha256(text.encode()).hexdigest()
        files += f'[[files]]\npath = "{name}.tsv"\nsha256 = "{digest}"\n'
    path = folder / "words.toml"
    path.write_text(f'task = "lexicon-induction"\nmetric = "acc@1"\n{files}')
    return path


def test_evaluate_loads_the_target_encoder(
    tiny_base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from flows.cli import encoders

    loaded = []
    load = encoders.load_encoder_like
    monkeypatch.setattr(
        encoders,
        "load_encoder_like",
        lambda settings, name, *rest: loaded.append(name) or load(settings, name, *rest),
    )
    arguments = [str(tiny_base), "--pooling", "mean", "--target-encoder", str(tiny_base)]
    lexicon = str(write_lexicon(tmp_path, monkeypatch))
    assert run_guarded(mirror, ["evaluate", *arguments, "--benchmark", lexicon]) == 0
    assert loaded == [str(tiny_base)]
    assert "acc@1" in capsys.readouterr().out


def test_benchmarks_on_a_runs_texts_need_a_recipe(command: Command) -> None:
    arguments = ["evaluate", "no/folder", "--benchmarks", "title-retrieval,sample-space"]
    assert "--recipe" in command(*arguments, code=1)
