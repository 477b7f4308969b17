"""Smoke test of an encoder: loading and querying it in a clean process."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mirror.encoders.encoder_ref import EncoderRef
from mirror.progress import OnProgress, ProgressEvent, no_progress
from mirror.release import smoke_test_client
from mirror.release.gate import SmokeTestResult
from mirror.stage_files import reading, sampled_texts
from mirror.store import Stage, StageRecord, Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STAGE = "smoke-test"
RESULT = "smoke_test.json"
LIBRARIES = ("sentence-transformers", "torch", "transformers", "tokenizers")
TEXTS = 50
TIMEOUT_SECONDS = 300
FAULT_CHARACTERS = 300
"""Maximum length of the client's error message; its end is used."""
OFFLINE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}


def smoke_test_stage(encoder: EncoderRef, sample: StageRecord) -> Stage:
    """Return the stage that tests an encoder on strings of a sample."""
    inputs = {"encoder": encoder.digest, "sample": sample.digest}
    return Stage(STAGE, "release.smoke_test", inputs, {}, LIBRARIES)


def run_smoke_test(
    encoder: EncoderRef,
    sample: StageRecord,
    store: Store,
    on_progress: OnProgress = no_progress,
) -> StageRecord:
    """Test an encoder as a service would use it; the folder holds `smoke_test.json`.

    A fault of the encoder is part of the result, for the gate to judge.

    Raises:
        StoreError: the sample is damaged, or the folder cannot be written.
    """

    def write(out: Path, work: Path) -> Mapping[str, Any]:
        on_progress(ProgressEvent(STAGE, 0, 1, "encoders"))
        result = asdict(check_encoder(Path(encoder.folder), sample, work))
        (out / RESULT).write_text(json.dumps(result), encoding="utf-8")
        return {name: value for name, value in result.items() if value not in ("", math.inf)}

    return store.make(smoke_test_stage(encoder, sample), write)


def read_smoke_test(record: StageRecord) -> SmokeTestResult:
    """Return the result that the stage wrote.

    Raises:
        StoreError: it is missing or damaged.
    """
    path = record.path / RESULT
    with reading(path):
        return SmokeTestResult(**json.loads(path.read_text(encoding="utf-8")))


def check_encoder(folder: Path, sample: StageRecord, work: Path) -> SmokeTestResult:
    """Return how an encoder behaves in a process without this project.

    Args:
        folder: the encoder's.
        sample: its first 50 strings are encoded.
        work: working directory of the process.
    """
    import numpy as np

    from mirror.encoders.encoder import Encoder

    texts = sampled_texts(sample, TEXTS)
    answer = run_client(folder, texts, work)
    if isinstance(answer, str):
        return SmokeTestResult(fault=answer)
    vectors = np.asarray(answer["vectors"], dtype=np.float32)
    if vectors.ndim != 2 or not np.isfinite(vectors).all():
        return SmokeTestResult(fault="its vectors are not numbers")
    expected = Encoder.load(folder, device="cpu").encode(texts)
    files = [path for path in folder.rglob("*") if path.is_file()]
    return SmokeTestResult(
        difference=float(np.abs(_cosines(vectors) - _cosines(expected)).max()),
        milliseconds=round(float(answer["milliseconds"]), 3),
        megabytes=sum(path.stat().st_size for path in files) / 1e6,
    )


def run_client(
    folder: Path, texts: Sequence[str], work: Path, timeout: float = TIMEOUT_SECONDS
) -> dict[str, Any] | str:
    """Return the answer of `smoke_test_client.py` in a separate process, or its fault."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    try:
        run = subprocess.run(
            [sys.executable, "-I", str(smoke_test_client.__file__), str(folder)],
            input=json.dumps(list(texts)),
            cwd=work,
            env=inherited | OFFLINE,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {timeout:g} seconds"
    if run.returncode:
        lines = run.stderr.strip().splitlines() or [f"exit code {run.returncode}"]
        return lines[-1][-FAULT_CHARACTERS:]
    try:
        answer: dict[str, Any] = json.loads(run.stdout)
    except ValueError:
        return "its answer cannot be read"
    if not math.isfinite(answer["milliseconds"]):
        return "its time is not a number"
    return answer


def _cosines(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    import numpy as np

    exact = vectors.astype(np.float64)
    norms = np.linalg.norm(exact, axis=1, keepdims=True)
    unit: NDArray[np.float64] = exact / np.where(norms > 0, norms, 1)
    return unit @ unit.T
