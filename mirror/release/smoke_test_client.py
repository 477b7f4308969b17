"""A consumer that knows nothing of this project: sentence-transformers, numpy and a folder.

Run as a file in a process of its own, isolated (`python -I`), so it must import nothing of ours.
Reads texts as JSON from standard input; writes JSON to standard output.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any


def main(folder: str) -> dict[str, Any]:
    """Loads the encoder, encodes all texts at once for their vectors, then each for its time."""
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
