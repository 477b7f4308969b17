"""Client of the smoke test: loads an encoder with sentence-transformers alone.

Run as a file in an isolated process (`python -I`), so it must not import this project.  Reads texts
as JSON from standard input and writes JSON to standard output.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any


def main(folder: str) -> dict[str, Any]:
    """Return the vectors of all texts, and the median time of one text in milliseconds."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    texts = json.load(sys.stdin)
    encoder = SentenceTransformer(folder, device="cpu", local_files_only=True)
    vectors = encoder.encode(texts, show_progress_bar=False)
    times = []
    for text in texts:
        began = time.perf_counter()
        encoder.encode(text, show_progress_bar=False)
        times.append(1_000 * (time.perf_counter() - began))
    return {"vectors": vectors.tolist(), "milliseconds": statistics.median(times)}


if __name__ == "__main__":
    answer = main(sys.argv[1])
    json.dump(answer, sys.stdout)
