"""Trying an encoder in a clean process, beside what was measured in this one."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mirror.encoders.encoder import Encoder
from mirror.errors import StoreError
from mirror.release import smoke_test_client
from mirror.release.smoke_test_result import Probe
from mirror.store import StageRecord

TEXTS = 50
DEADLINE_SECONDS = 300
SHOWN = 300
"""Characters of what a consumer complained of that are kept: its end says most."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def try_encoder(folder: Path, sample: StageRecord, elsewhere: Path) -> Probe:
    """Loads and asks an encoder in a process that has nothing of ours.

    Args:
        folder: the encoder's.
        sample: whose first strings are asked for.
        elsewhere: a folder for the process to run in.

    Raises:
        StoreError: the sample is damaged.
    """
    texts = _first_strings(sample)
    answer = ask_consumer(folder, texts, elsewhere)
    if isinstance(answer, str):
        return Probe(fault=answer)
    vectors = np.asarray(answer["vectors"], dtype=np.float32)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        return Probe(fault="its vectors are not numbers")
    own = Encoder.load(folder, device="cpu").encode(texts)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return Probe(
        difference=float(np.abs(_cosines(vectors) - _cosines(own)).max()),
        milliseconds=round(float(answer["milliseconds"]), 3),
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
    )


def ask_consumer(
    folder: Path, texts: Sequence[str], elsewhere: Path, seconds: float = DEADLINE_SECONDS
) -> dict[str, Any] | str:
    """What a consumer gets from the encoder, or why it gets nothing; see `consumer.py`."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    try:
        run = subprocess.run(
            [sys.executable, "-I", str(smoke_test_client.__file__), str(folder)],
            input=json.dumps(list(texts)),
            cwd=elsewhere,
            env=kept | OFFLINE,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} seconds"
    if run.returncode:
        complaint = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        return complaint[-1][-SHOWN:]
    try:
        answer: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return "its answer cannot be read"
    if not math.isfinite(answer["milliseconds"]):
        return "its time is not a number"
    return answer


def _cosines(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: NDArray[np.float64] = exact / np.where(norms > 0, norms, 1)
    return unit @ unit.T


def _first_strings(sample: StageRecord) -> list[str]:
    path = sample.path / "strings.parquet"
    try:
        texts: list[str] = pq.read_table(path, columns=["text"])["text"][:TEXTS].to_pylist()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: remove its folder and run again") from error
    return texts
