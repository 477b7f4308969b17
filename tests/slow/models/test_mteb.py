"""Encoders in mteb, offline: its mock tasks, our benchmarks as its tasks, its layout of results."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.cli.encoders import embeddings_origin
from flows.cli.errors import run_guarded
from flows.cli.main import mirror
from mirror.encoders.embeddings_file import EmbeddingsOrigin
from mirror.encoders.encoder import Encoder
from mirror.errors import BenchmarkError
from mirror.evaluation import benchmark
from mirror.evaluation.benchmark import read_definition
from mirror.evaluation.evaluate import score_encoder

mteb = pytest.importorskip("mteb")

from mirror.evaluation.mteb_scores import (  # noqa: E402
    MtebEncoder,
    find_tasks,
    results_folder,
    score_tasks,
)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")


@pytest.fixture
def definitions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sentences: list[str]) -> Path:
    """A folder that stands for that of the shipped definitions, with a similarity benchmark."""
    monkeypatch.setattr(benchmark, "DEFINITIONS", tmp_path)
    rows = [
        f"{first}\t{second}\t{number * 7 % 11}"
        for number, (first, second) in enumerate(zip(sentences[:40], sentences[40:80], strict=True))
    ]
    (tmp_path / "own.tsv").write_text("\n".join(["sentence1\tsentence2\tscore", *rows, ""]))
    (tmp_path / "own.toml").write_text(
        'task = "similarity"\nfile = "own.tsv"\nlanguages = ["de"]\n'
    )
    (tmp_path / "space.toml").write_text(
        'task = "space-diagnostics"\nmetric = "isotropy"\nused_by_gate = false\n'
    )
    return tmp_path


@pytest.fixture
def encoder(tiny_base: Path, tmp_path: Path) -> Iterator[tuple[Encoder, EmbeddingsOrigin]]:
    folder = tmp_path / "encoder"
    Encoder.load(tiny_base, "mean", 32).save(folder)
    loaded = Encoder.load(folder)
    yield loaded, embeddings_origin(str(folder), loaded, "float32")


def test_an_encoder_passes_all_of_mtebs_mock_tasks_on_text(
    encoder: tuple[Encoder, EmbeddingsOrigin],
) -> None:
    from mteb.mocks.mock_run import mock_run
    from mteb.results import TaskResult

    results = mock_run(MtebEncoder(*encoder))
    assert results.all_passed
    passed = [name for name, result in results.items() if isinstance(result, TaskResult)]
    assert {"MockSTSTask", "MockRetrievalTask", "MockClusteringTask"} < set(passed)
    assert len(passed) >= 25


def test_our_benchmark_has_our_score_in_mteb(
    definitions: Path, encoder: tuple[Encoder, EmbeddingsOrigin], tmp_path: Path
) -> None:
    tasks = find_tasks(["own"])
    scores = score_tasks(*encoder, tasks, tmp_path / "results")
    ours = score_encoder(encoder[0], read_definition("own")).score
    assert scores == {"Mirror-own": pytest.approx(ours, abs=1e-5)}
    assert tasks[0].metadata.eval_langs == ["deu-Latn"]
    with pytest.raises(BenchmarkError, match="only similarity benchmarks are tasks of mteb"):
        find_tasks(["space"])
    assert find_tasks(["STSBenchmark"])[0].metadata.name == "STSBenchmark"


def test_results_of_two_versions_are_not_mixed(
    definitions: Path, tiny_base: Path, tmp_path: Path, sentences: list[str]
) -> None:
    folder, out = tmp_path / "same-name", tmp_path / "results"
    scores, folders = [], []
    for pooling in ("mean", "cls"):
        shutil.rmtree(folder, ignore_errors=True)
        Encoder.load(tiny_base, pooling, 32).save(folder)
        loaded = Encoder.load(folder)
        origin = embeddings_origin(str(folder), loaded, "float32")
        scores.append(score_tasks(loaded, origin, find_tasks(["own"]), out)["Mirror-own"])
        folders.append(results_folder(loaded, origin, out))
    assert scores[0] != scores[1]
    assert folders[0].parent != folders[1].parent and folders[0].name != folders[1].name
    for path in folders:
        assert {"Mirror-own.json", "model_meta.json"} <= {each.name for each in path.iterdir()}
    assert len(mteb.ResultCache(out).load_results().model_results) == 2


def test_the_command_writes_results_and_reuses_them(
    definitions: Path,
    encoder: tuple[Encoder, EmbeddingsOrigin],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = ["evaluate", str(tmp_path / "encoder"), "--mteb", "own", "--mteb-out"]
    assert run_guarded(mirror, [*arguments, str(tmp_path / "results")]) == 0
    shown = capsys.readouterr()
    assert "Mirror-own" in shown.out and str(tmp_path / "results") in shown.err
    monkeypatch.setattr(Encoder, "encode", lambda *_: pytest.fail("encoded again"))
    assert run_guarded(mirror, [*arguments, str(tmp_path / "results")]) == 0


def test_a_registered_version_is_in_name_and_revision(
    encoder: tuple[Encoder, EmbeddingsOrigin],
) -> None:
    origin = EmbeddingsOrigin("mirror-en-x", "3", "0123456789" * 6, 32)
    meta = MtebEncoder(encoder[0], origin).mteb_model_meta
    assert meta is not None
    assert meta.name == "mirror/mirror-en-x-v3-01234567"
    assert meta.revision == "0123456789" * 4
