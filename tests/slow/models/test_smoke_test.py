"""Smoke test of an encoder in a clean process."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef, folder_encoder_digest
from mirror.release.gate import SmokeTestResult
from mirror.release.smoke_test import (
    check_encoder,
    read_smoke_test,
    run_client,
    run_smoke_test,
)
from mirror.store import StageRecord

TEXTS = ["the baker sells one mirror", "a red wagon in the forest", "two old kettles"]


@pytest.fixture(scope="module")
def encoder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("smoke") / "encoder"
    Encoder.load(tiny_base, "mean", 16).save(folder)
    return folder


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> StageRecord:
    folder = tmp_path_factory.mktemp("sample")
    pq.write_table(pa.table({"text": TEXTS}), folder / "strings.parquet")
    return StageRecord("sample", "k", str(folder), "d" * 64)


def test_a_sound_encoder_gives_the_vectors_of_the_evaluation(encoder, sample, store) -> None:
    ref = EncoderRef(str(encoder), folder_encoder_digest(encoder))
    result = read_smoke_test(run_smoke_test(ref, sample, store))
    assert result.fault == ""
    assert result.difference < 1e-5
    assert 0 < result.milliseconds < 10_000
    size = sum(path.stat().st_size for path in encoder.rglob("*") if path.is_file())
    assert result.megabytes == size / 1e6
    assert run_smoke_test(ref, sample, store).reused


def test_other_pooling_in_sentence_transformers_is_detected(encoder, sample, tmp_path) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "encoder"))
    config = folder / "1_Pooling" / "config.json"
    settings = json.loads(config.read_text())
    settings |= {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "1_Pooling" / "config.json").write_text(json.dumps(settings))
    answers = [run_client(path, TEXTS, tmp_path) for path in (folder, other)]
    vectors = [np.array(answer["vectors"]) for answer in answers if not isinstance(answer, str)]
    assert np.abs(vectors[0] - Encoder.load(folder).encode(TEXTS)).max() < 1e-5
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    (other / "mirror.json").write_text('{"pooling": "mean-with-padding"}')
    (other / "1_Pooling" / "config.json").write_text(config.read_text())
    assert check_encoder(other, sample, tmp_path).difference > 1e-4


def test_an_encoder_that_cannot_be_loaded_is_a_fault_in_a_line(sample, tmp_path) -> None:
    (tmp_path / "nothing").mkdir()
    result = check_encoder(tmp_path / "nothing", sample, tmp_path)
    assert result == SmokeTestResult(fault=result.fault)
    assert result.fault
    assert "\n" not in result.fault


def test_the_client_does_not_import_this_project(encoder, tmp_path, monkeypatch) -> None:
    trap = tmp_path / "sentence_transformers.py"
    trap.write_text("raise RuntimeError('ours')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not isinstance(run_client(encoder, TEXTS, tmp_path), str)
