"""Speed of `mirror serve` over HTTP: texts a second and latency, by number of clients.

    python -m bench.serving_speed mirror-en-python-docs --seconds 10

Each client keeps one connection and sends its next request when the last is answered.  The vectors
of the first request are compared with those of sentence-transformers, from the same folder.
"""

from __future__ import annotations

import argparse
import http.client
import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import hardware, hardware_line
from bench.strings import read_texts
from mirror.paths import open_workspace
from mirror.rendering import markdown_table

CLIENTS = (1, 8, 32)
TEXTS = 2_000
HEADERS = {"Content-Type": "application/json"}


def request(connection: http.client.HTTPConnection, texts: Sequence[str]) -> list[list[float]]:
    """Return the vectors that the server gives for some texts."""
    connection.request("POST", "/invocations", json.dumps({"inputs": list(texts)}), HEADERS)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != http.client.OK:
        raise SystemExit(f"the server answered {answer.status}: {body[:200]!r}")
    vectors: list[list[float]] = json.loads(body)["predictions"]
    return vectors


def client_seconds(
    port: int, texts: Sequence[str], size: int, end: float, first: int
) -> list[float]:
    """Return how long each of a client's requests took, until `end`.

    Args:
        port: of the server on this machine.
        texts: to send, from the `first` on, again and again.
        size: texts of a request.
        end: of the measurement, as `time.perf_counter` gives it.
        first: number of the first text.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds: list[float] = []
    for start in count(first, size):
        chosen = [texts[(start + number) % len(texts)] for number in range(size)]
        began = time.perf_counter()
        if began > end:
            return seconds
        request(connection, chosen)
        seconds.append(time.perf_counter() - began)
    raise AssertionError("unreachable")


def measure(port: int, texts: Sequence[str], clients: int, size: int, seconds: float) -> list[str]:
    """Return a row of the table: clients, texts of a request, texts a second, latencies."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as threads:
        runs = [
            threads.submit(client_seconds, port, texts, size, began + seconds, number * 97)
            for number in range(clients)
        ]
        took = [each for run in runs for each in run.result()]
    elapsed = time.perf_counter() - began
    middle, high = (1_000 * np.quantile(took, share) for share in (0.5, 0.95))
    return [
        str(clients),
        str(size),
        f"{len(took) * size / elapsed:,.0f}",
        f"{middle:,.1f} ms",
        f"{high:,.1f} ms",
    ]


def largest_difference(port: int, texts: Sequence[str], folder: Path) -> float:
    """Return the largest difference from sentence-transformers of a vector's number."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    served = request(http.client.HTTPConnection("127.0.0.1", port), texts)
    return float(np.abs(np.asarray(served) - encoder.encode(list(texts))).max())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="name of a registered model, or models:/NAME/VERSION")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each measurement")
    parser.add_argument("--port", type=int, default=5_099)
    arguments = parser.parse_args()
    workspace = open_workspace(for_registry=True)
    texts = read_texts(None, TEXTS, workspace)
    machine: dict[str, Any] = hardware()

    from flows.cli.serve import checked_model
    from tasks.registry import fetch_model
    from tasks.registry.serving import checked_copy, scoring_server

    uri = checked_model(arguments.model)
    with (
        checked_copy(uri) as copy,
        scoring_server(copy, "127.0.0.1", arguments.port),
    ):
        difference = largest_difference(arguments.port, texts[:32], fetch_model(uri, workspace))
        rows = [
            measure(arguments.port, texts, clients, size, arguments.seconds)
            for size in (1, 32)
            for clients in CLIENTS
        ]
    print(hardware_line(machine), "\n")
    heading = ["clients", "texts a request", "texts a second", "half within", "95 % within"]
    print(markdown_table(heading, rows))
    print(f"\n{uri}; largest difference from sentence-transformers: {difference:.1e}")


if __name__ == "__main__":
    main()
