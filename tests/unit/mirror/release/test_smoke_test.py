"""An encoder tried by a process that has nothing of ours."""

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
from mirror.errors import StoreError
from mirror.release import smoke_test_stage
from mirror.release.smoke_test import ask_consumer, try_encoder
from mirror.release.smoke_test_result import Probe, read_probe
from mirror.store import StageRecord

TEXTS = ["the baker sells one mirror", "a red wagon in the forest", "two old kettles"]


@pytest.fixture(scope="module")
def encoder(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("probed") / "encoder"
    Encoder.load(tiny_base, "mean", 16).save(folder)
    return folder


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> StageRecord:
    folder = tmp_path_factory.mktemp("sample")
    pq.write_table(pa.table({"text": TEXTS}), folder / "strings.parquet")
    return StageRecord("sample", "k", str(folder), "d" * 64)


def test_a_sound_encoder_gives_what_was_measured(encoder, sample, store) -> None:
    ref = EncoderRef(str(encoder), folder_encoder_digest(encoder))
    found = read_probe(smoke_test_stage.probe_encoder(ref, sample, store))
    assert found.fault == ""
    assert found.difference < 1e-5
    assert 0 < found.milliseconds < 10_000
    size = sum(path.stat().st_size for path in encoder.rglob("*") if path.is_file())
    assert found.megabytes == size / 1e6
    assert smoke_test_stage.probe_encoder(ref, sample, store).reused


@pytest.mark.slow
def test_an_encoder_that_pools_otherwise_there_is_seen(encoder, sample, tmp_path) -> None:
    folder = Path(shutil.copytree(encoder, tmp_path / "encoder"))
    config = folder / "1_Pooling" / "config.json"
    told = json.loads(config.read_text())
    told |= {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    (other / "1_Pooling" / "config.json").write_text(json.dumps(told))
    answers = [ask_consumer(place, TEXTS, tmp_path) for place in (folder, other)]
    vectors = [np.array(answer["vectors"]) for answer in answers if not isinstance(answer, str)]
    assert np.abs(vectors[0] - Encoder.load(folder).encode(TEXTS)).max() < 1e-5
    assert np.abs(vectors[0] - vectors[1]).max() > 1e-3
    (other / "mirror.json").write_text('{"pooling": "mean-with-padding"}')
    (other / "1_Pooling" / "config.json").write_text(config.read_text())
    assert try_encoder(other, sample, tmp_path).difference > 1e-4


@pytest.mark.slow
def test_an_encoder_that_cannot_be_loaded_is_a_fault_in_a_line(sample, tmp_path) -> None:
    (tmp_path / "nothing").mkdir()
    found = try_encoder(tmp_path / "nothing", sample, tmp_path)
    assert found == Probe(fault=found.fault)
    assert found.fault
    assert "\n" not in found.fault


def test_no_answer_in_time_is_a_fault(encoder, tmp_path) -> None:
    assert ask_consumer(encoder, TEXTS, tmp_path, 0.01) == "no answer within 0.01 seconds"


@pytest.mark.slow
def test_the_consumer_sees_nothing_of_this_project(encoder, tmp_path, monkeypatch) -> None:
    trap = tmp_path / "sentence_transformers.py"
    trap.write_text("raise RuntimeError('ours')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not isinstance(ask_consumer(encoder, TEXTS, tmp_path), str)


def test_a_damaged_sample_is_an_error_and_no_verdict(encoder, tmp_path) -> None:
    with pytest.raises(StoreError, match="run again"):
        try_encoder(encoder, StageRecord("sample", "k", str(tmp_path), "d"), tmp_path)
