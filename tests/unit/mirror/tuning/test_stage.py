from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import BaseModelError, SampleError
from mirror.evaluation import benchmark
from mirror.experiments.trial import with_changes
from mirror.hashing import reached_modules
from mirror.paths import CHECKOUT
from mirror.progress import ProgressEvent
from mirror.recipe import Recipe
from mirror.store import Stage, StageRecord, Store
from mirror.tuning.stage import tune_in_process, tuning_stage
from tests.fixtures.recipes import make_recipe


def recipe(**tuning: Any) -> Recipe:
    settings = {"batch_size": 50, "max_tokens": 20, "pooling": "mean", "precision": "fp32"}
    return make_recipe(sample={"size": 400}, tuning={**settings, **tuning})


@pytest.fixture
def base(tiny_base: Path) -> EncoderRef:
    return EncoderRef(str(tiny_base), base_digest(tiny_base), "tiny")


def sample_of(strings: list[str], store: Store) -> StageRecord:
    def write(out: Path, work: Path) -> dict[str, Any]:
        pq.write_table(pa.table({"text": strings}), out / "strings.parquet")
        return {}

    return store.make(Stage("sample", "store", {}, {}), write)


@pytest.fixture
def sample(store: Store, sentences: list[str]) -> StageRecord:
    return sample_of(sentences, store)


def test_the_stage_has_an_encoder_and_is_reused(
    store: Store, sample: StageRecord, base: EncoderRef
) -> None:
    events: list[ProgressEvent] = []
    record = tune_in_process(recipe(), sample, base, store, events.append)
    assert not record.reused
    assert (record.path / "encoder" / "modules.json").is_file()
    assert len((record.path / "steps.jsonl").read_text().splitlines()) == 8
    assert record.counts["steps"] == len(events) == 8
    assert "strings/s" in events[-1].text
    assert (events[-1].done, events[-1].total) == (8, 8)
    again = tune_in_process(recipe(), sample, base, store)
    assert again.reused
    assert again.digest == record.digest
    assert not list((store.root / "work").iterdir())


def test_reuse_does_not_import_torch(store: Store, sample: StageRecord, base: EncoderRef) -> None:
    tune_in_process(recipe(), sample, base, store)
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from mirror.encoders.encoder_ref import EncoderRef
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from test_stage import recipe
sample, base = StageRecord(**{asdict(sample)!r}), EncoderRef(**{asdict(base)!r})
assert tune_encoder(recipe(), sample, base, Store(Path({str(store.root)!r}))).reused
assert not {{"torch", "transformers"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=CHECKOUT, timeout=60)


def test_the_key_depends_on_what_changes_the_weights(sample: StageRecord, base: EncoderRef) -> None:
    key = tuning_stage(recipe(), sample, base).key
    assert tuning_stage(recipe(checkpoint_seconds=5), sample, base).key == key
    assert tuning_stage(recipe(seed=1), sample, base).key != key
    assert tuning_stage(recipe(dropout=0.2), sample, base).key != key
    other = EncoderRef(base.folder, "0" * 64, base.origin)
    assert tuning_stage(recipe(), sample, other).key != key
    moved = EncoderRef("/elsewhere", base.digest, "elsewhere")
    assert tuning_stage(recipe(), sample, moved).key == key


def test_the_key_depends_on_the_code_of_tuning() -> None:
    modules = ("trainer", "train_step", "losses", "batch_sampler", "views", "masking")
    modules += ("drophead", "training_log")
    names = {f"tuning.{name}" for name in modules} | {"checkpoint", "hardware", "parallel"}
    names |= {f"encoders.{name}" for name in ("encoder", "length_buckets", "prompt")}
    assert {f"mirror.{name}" for name in names} <= reached_modules("mirror.tuning.stage")


def test_a_sample_below_a_batch_leaves_no_stage(
    store: Store, sentences: list[str], base: EncoderRef
) -> None:
    with pytest.raises(SampleError, match="49 different strings"):
        tune_in_process(recipe(), sample_of(sentences[:49], store), base, store)
    assert not (store.root / "stages" / "tune").exists()


def test_a_missing_base_leaves_no_stage(store: Store, sample: StageRecord, tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="no base model"):
        tune_in_process(recipe(), sample, EncoderRef(str(tmp_path / "absent"), "0", "x"), store)
    assert not (store.root / "stages" / "tune").exists()


def documents_of(strings: list[str], store: Store) -> StageRecord:
    """Return a sample of documents of two sentences."""

    def write(out: Path, work: Path) -> dict[str, Any]:
        texts = [text for first in strings for text in (first, f"{first} indeed")]
        numbers = [number for number, _ in enumerate(strings) for _ in range(2)]
        pq.write_table(pa.table({"text": texts, "document": numbers}), out / "strings.parquet")
        empty = pa.table({"document": pa.array([], pa.int64()), "title": [], "body": []})
        pq.write_table(empty, out / "titles.parquet")
        return {}

    return store.make(Stage("sample", "store", {}, {}), write)


def test_a_guard_limits_the_share_of_tuned_weights(
    store: Store,
    sentences: list[str],
    base: EncoderRef,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guard's benchmark is read from its files, and its name is in the stage's key."""
    lines = [
        "sentence1\tsentence2\tscore",
        *(
            f"{a}\t{b}\t{n % 5}"
            for n, (a, b) in enumerate(zip(sentences[:60], sentences[60:120], strict=True))
        ),
    ]
    (tmp_path / "general.tsv").write_text("\n".join(lines))
    definition = 'task = "similarity"\nlanguages = ["en"]\nfile = "general.tsv"\n'
    (tmp_path / "general.toml").write_text(definition)
    monkeypatch.setattr(benchmark, "DEFINITIONS", tmp_path)
    evaluation = {"benchmarks": ["general"], "guard": "general", "guard_tolerance": 2.0}
    views = {"views": "crops", "batch_size": 50, "max_tokens": 20, "pooling": "mean"}
    guarded = make_recipe(sample={"size": 400}, tuning=views, evaluation=evaluation)
    sample = documents_of(sentences, store)
    record = tune_in_process(guarded, sample, base, store)
    assert record.counts["validation_documents"] == 40
    log = json.loads((record.path / "validation.json").read_text())
    assert [len(log["steps"]), len(log["merges"])] == [3, 3]
    assert all(-1 <= each["guard"] <= 1 for each in log["merges"])
    looser = with_changes(guarded, {"evaluation.guard_tolerance": 0.5})
    keys = {tuning_stage(each, sample, base).key for each in (guarded, looser)}
    assert len(keys) == 2
