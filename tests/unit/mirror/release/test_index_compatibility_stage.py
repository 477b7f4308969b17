"""Two encoders' folders are compared once, on a run's sample."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file

from mirror.encoders.encoder import Encoder
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import InputError
from mirror.release.index_compatibility import read_compatibility
from mirror.release.index_compatibility_stage import (
    compare_encoders,
    compare_on_texts,
    compatibility_stage,
)
from mirror.store import StageRecord, Store


@pytest.fixture
def sample(tmp_path: Path, sentences: list[str]) -> StageRecord:
    folder = tmp_path / "sample"
    folder.mkdir()
    pq.write_table(pa.table({"text": sentences[:200]}), folder / "strings.parquet")
    return StageRecord("sample", "k", str(folder), "s" * 64, {"strings": 200})


@pytest.fixture
def encoder(tiny_base: Path, tmp_path: Path) -> EncoderRef:
    Encoder.load(tiny_base, "mean", 32).save(tmp_path / "encoder")
    return EncoderRef(str(tmp_path / "encoder"), "e" * 64, label="champion")


def test_report_page_and_map_are_written_and_reused(
    encoder: EncoderRef, sample: StageRecord, store: Store
) -> None:
    made = compare_encoders(encoder, replace(encoder, label="tuned"), sample, store)
    assert made.stage == "compatibility"
    names = {"compatibility.json", "compatibility.html", "map.safetensors"}
    assert names < {path.name for path in made.path.iterdir()}
    found = read_compatibility(made)
    assert (found.verdict, found.neighbours.mean, found.judged) == ("keep", 1.0, 100)
    assert made.counts == {"verdict": "keep", "overlap": 1.0, "texts": 100}
    assert load_file(made.path / "map.safetensors")["turn"].shape == (32, 32)
    assert "the former champion → this version" in (made.path / "compatibility.html").read_text()
    assert compare_encoders(encoder, encoder, sample, store).reused


def test_another_encoder_or_sample_is_compared_anew(
    encoder: EncoderRef, sample: StageRecord
) -> None:
    other = replace(encoder, digest="f" * 64)
    keys = {
        compatibility_stage(old, new, of).key
        for old, new, of in (
            (encoder, other, sample),
            (other, encoder, sample),
            (encoder, encoder, sample),
            (encoder, other, replace(sample, digest="t" * 64)),
        )
    }
    assert len(keys) == 4


class Counted:
    """An encoder that remembers what it was asked for."""

    width = 4

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: list[str]) -> np.ndarray:
        self.asked += texts
        drawn = [np.random.default_rng(list(map(ord, text))).standard_normal(4) for text in texts]
        return np.asarray(drawn, dtype=np.float32)


def test_blank_and_repeated_texts_are_left_out() -> None:
    old, new = Counted(), Counted()
    texts = [f"text {number}" for number in range(70)]
    found, _ = compare_on_texts(old, new, ["", *texts, "  ", *texts[::-1]])
    assert old.asked == new.asked == texts
    assert found.fitted + found.judged == 70
    with pytest.raises(InputError, match="59 different texts are too few: give 60 or more"):
        compare_on_texts(old, new, texts[:59] * 2)


def test_no_more_than_four_thousand_texts_are_encoded() -> None:
    old, new = Counted(), Counted()
    seen = []
    compare_on_texts(old, new, [str(number) for number in range(4_100)], seen.append)
    assert len(old.asked) == len(new.asked) == 4_000
    assert (seen[-1].done, seen[-1].total) == (8_000, 8_000)
    assert json.dumps([sign.done for sign in seen]) == json.dumps(
        sorted(sign.done for sign in seen)
    )
