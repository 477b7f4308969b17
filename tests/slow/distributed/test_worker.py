from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mirror import shutdown
from mirror.encoders.base_model import base_digest
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import SampleError, StoppedError, TuningError
from mirror.paths import CHECKOUT
from mirror.progress import ProgressEvent
from mirror.recipe import Recipe
from mirror.store import Stage, StageRecord, Store
from mirror.tuning import worker as tuning_process
from mirror.tuning.stage import tune_in_process
from mirror.tuning.worker import tune_encoder
from tests.fixtures.recipes import make_recipe

DYING_PARENT = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from mirror.encoders.encoder_ref import EncoderRef
from mirror.store import StageRecord, Store
from mirror.tuning.worker import tune_encoder
from test_worker import recipe

def die(sign):
    if sign.done >= 3:
        os.kill(os.getpid(), signal.SIGKILL)

sample, base = StageRecord(**{sample!r}), EncoderRef(**{base!r})
tune_encoder(recipe(), sample, base, Store(Path({root!r})), die)
"""


def recipe(**tuning: Any) -> Recipe:
    """80 steps."""
    return make_recipe(
        sample={"size": 400},
        tuning={"batch_size": 50, "max_tokens": 20, "epochs": 10, **tuning},
    )


@pytest.fixture(scope="module")
def base(tiny_base: Path) -> EncoderRef:
    return EncoderRef(str(tiny_base), base_digest(tiny_base), "tiny")


def sample_of(strings: list[str], root: Path) -> StageRecord:
    def write(out: Path, work: Path) -> dict[str, Any]:
        pq.write_table(pa.table({"text": strings}), out / "strings.parquet")
        return {}

    return Store(root).make(Stage("sample", "store", {}, {}), write)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory, sentences: list[str]) -> StageRecord:
    return sample_of(sentences, tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def reference_run(
    tmp_path_factory: pytest.TempPathFactory, sample: StageRecord, base: EncoderRef
) -> StageRecord:
    """Return the result of tuning in this process."""
    return tune_in_process(recipe(), sample, base, Store(tmp_path_factory.mktemp("reference_run")))


def tuning_children() -> list[psutil.Process]:
    """Not the servers that tests of this session keep."""
    mine = psutil.Process().children()
    return [child for child in mine if "mirror.tuning.worker" in child.cmdline()]


def checkpoints(store: Store) -> list[str]:
    return [path.name for path in (store.root / "work").glob("*/checkpoint-*")]


def test_it_makes_the_same_bytes_tells_each_step_and_is_reused(
    store, sample, base, reference_run, monkeypatch
) -> None:
    signs: list[ProgressEvent] = []
    made = tune_encoder(recipe(), sample, base, store, signs.append)
    assert made.digest == reference_run.digest
    assert not made.reused
    assert [sign.done for sign in signs] == list(range(1, 81))
    assert "strings/s" in signs[-1].text
    monkeypatch.setattr(tuning_process, "CHILD", ("-c", "raise SystemExit(1)"))
    assert tune_encoder(recipe(), sample, base, store).reused


def test_a_fault_in_the_child_is_the_same_error_in_the_parent(store, base, tmp_path) -> None:
    few = sample_of(["one red kettle", "two old ladders"] * 200, tmp_path / "few")
    with pytest.raises(SampleError, match=r"2 different strings and a batch takes 50"):
        tune_encoder(recipe(), few, base, store)


def test_whatever_ends_the_parents_call_ends_the_child_at_a_checkpoint(
    store, sample, base, reference_run
) -> None:
    children: list[psutil.Process] = []

    def cancel(sign: ProgressEvent) -> None:
        if sign.done >= 3:
            children.extend(tuning_children())
            raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        tune_encoder(recipe(), sample, base, store, cancel)
    assert time.monotonic() - began < 60
    assert children
    assert not any(child.is_running() for child in children)
    [checkpoint] = checkpoints(store)
    step = int(checkpoint.removeprefix("checkpoint-"))
    assert 3 <= step < 80
    signs: list[ProgressEvent] = []
    assert tune_encoder(recipe(), sample, base, store, signs.append).digest == reference_run.digest
    assert signs[0].done == step + 1


def test_a_killed_parent_takes_the_child_with_it(store, sample, base, reference_run) -> None:
    code = DYING_PARENT.format(
        tests=str(Path(__file__).parent),
        sample=asdict(sample),
        base=asdict(base),
        root=str(store.root),
    )
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=120)
    assert done.returncode == -signal.SIGKILL
    end = time.monotonic() + 20
    while not checkpoints(store) and time.monotonic() < end:
        time.sleep(0.1)
    assert checkpoints(store)
    assert tune_encoder(recipe(), sample, base, store).digest == reference_run.digest


def test_a_killed_child_is_reported_with_its_signal(store, sample, base) -> None:
    def kill(sign: ProgressEvent) -> None:
        for child in tuning_children():
            child.kill()

    with pytest.raises(TuningError, match="ended with signal 9 and without a message"):
        tune_encoder(recipe(), sample, base, store, kill)


def test_a_deadline_ends_it_and_names_the_setting(store, sample, base) -> None:
    late = recipe(timeout_minutes=0.001)
    with pytest.raises(TuningError, match=r"within tuning\.timeout_minutes \(0\.001\)"):
        tune_encoder(late, sample, base, store)


def test_a_request_to_stop_ends_it_at_a_checkpoint(store, sample, base) -> None:
    def stop(sign: ProgressEvent) -> None:
        if sign.done >= 3:
            shutdown.ask_to_stop()

    try:
        with pytest.raises(StoppedError, match="run again to resume from its checkpoint"):
            tune_encoder(recipe(), sample, base, store, stop)
    finally:
        shutdown._asked.clear()
    assert checkpoints(store)
    assert not tuning_children()
