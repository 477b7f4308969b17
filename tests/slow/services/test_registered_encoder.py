"""Registered encoder, loaded where this project is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tasks import registry
from tasks.registry.candidate import RegistrationCandidate

CONSUMER = """
import sys
for name in ("mirror", "tasks", "flows"):
    sys.modules[name] = None  # only MLflow and sentence-transformers are installed
import mlflow
import numpy as np
from sentence_transformers import SentenceTransformer
texts = ["the baker sells a red lantern", "", "one wet letter"]
vectors = mlflow.pyfunc.load_model("models:/mirror-en-trades@champion").predict(texts)
expected = SentenceTransformer(sys.argv[1], device="cpu").encode(texts)
assert vectors.shape == (3, 32) and vectors.dtype == np.float32, (vectors.shape, vectors.dtype)
np.testing.assert_array_equal(vectors, expected)
print("the same embeddings")
"""


def test_mlflow_alone_gives_the_encoders_embeddings(
    make_candidate: Callable[..., RegistrationCandidate],
    workspace: Path,
    tracking: str,
    tmp_path: Path,
) -> None:
    candidate = make_candidate(1)
    registry.register.fn(candidate, workspace)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, str(candidate.encoder)],
        cwd=tmp_path,
        env=environment | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.stdout.endswith("the same embeddings\n"), done.stderr
