"""Speed of ingestion and sampling, compared with DuckDB reading and writing the same file.

    python -m bench.data_speed --gigabytes 0.1 1 5 --lines

A seeded generator writes a Parquet file of documents of four sentences. Their words are English,
drawn by frequency, and a tenth of the sentences are repeated. DuckDB reads the file and writes it
again, which is the least possible work. Ingestion splits, cleans, checks the language, removes
duplicates and writes the rest; with `--lines` documents are not split, and their language is not
checked. The slope is that of the logarithm of seconds over the logarithm of size: 1 means that
twice the text takes twice the time.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from bench.machine import MEGABYTE
from bench.measuring import (
    Findings,
    Row,
    Settings,
    Side,
    begin,
    each,
    make_parser,
    print_findings,
    print_line,
    ratios,
    run_if_side,
    run_side,
    take_turns,
)
from mirror.recipe import Recipe, parse_recipe

PHRASES = 50_000
PHRASE_WORDS = 6
SENTENCES = 4
REPEATED = 0.1
RECENT = 1_000
CHUNK = 20_000
SAMPLE = 10_000
LINES = {"split_into": "lines", "check_language": False}


def write_text(path: Path, gigabytes: float, seed: int) -> int:
    """Write about so many gigabytes (10^9 bytes) of text, and return the number of sentences."""
    draw = np.random.default_rng(seed)
    phrases = _phrases(draw)
    recent = [f"{phrases[0]} {phrases[1]}.".capitalize()]
    size = count = 0
    with pq.ParquetWriter(path, pa.schema([("text", pa.string())]), compression="zstd") as file:
        while size < gigabytes * 1e9:
            picks = draw.integers(len(phrases), size=(CHUNK, SENTENCES, 2))
            again = draw.random((CHUNK, SENTENCES)) < REPEATED
            documents = []
            for pick, old in zip(picks, again, strict=True):
                last = min(len(recent), RECENT)
                sentences = [
                    recent[(first * 31 + second) % last - last]
                    if repeat
                    else f"{phrases[first]} {phrases[second]}.".capitalize()
                    for (first, second), repeat in zip(pick.tolist(), old, strict=True)
                ]
                recent.append(sentences[0])
                documents.append(" ".join(sentences))
            del recent[:-RECENT]
            file.write_table(pa.table({"text": documents}))
            size += sum(map(len, documents))
            count += CHUNK * SENTENCES
    return count


def _phrases(draw: np.random.Generator) -> list[str]:
    from wordfreq import top_n_list, word_frequency

    words = [word for word in top_n_list("en", 20_000) if word.isascii() and word.isalpha()]
    shares = np.array([word_frequency(word, "en") for word in words])
    picks = draw.choice(len(words), size=(PHRASES, PHRASE_WORDS), p=shares / shares.sum())
    return [" ".join(words[number] for number in row) for row in picks]


def mirrored(settings: Settings) -> dict[str, Any]:
    """Ingest the file, then sample from it."""
    from mirror.corpus.ingest import ingest_corpus
    from mirror.sampling.sample import sample_strings
    from mirror.store import Store

    recipe, store = _recipe(settings), Store(Path(settings["work"]) / "home")
    with peak_of_tree() as ingesting:
        began, worked = time.perf_counter(), _worked()
        corpus = ingest_corpus(recipe, store)
        ingested, worked = time.perf_counter() - began, _worked() - worked - ingesting[1]
    with peak_of_tree() as sampling:
        began = time.perf_counter()
        sample_strings(recipe, corpus, store)
        sampled = time.perf_counter() - began
    return {
        "ingest_seconds": ingested,
        "ingest_processor_seconds": worked,
        "ingest_mb": ingesting[0],
        "sample_seconds": sampled,
        "sample_mb": sampling[0],
        "rows": corpus.counts["rows_in"],
        "kept": corpus.counts["kept"],
    }


def _recipe(settings: Settings) -> Recipe:
    content = {
        "language": "en",
        "domain": "bench",
        "level": "sentence",
        "corpus": {"source": "files", "paths": [settings["file"]], **settings["corpus"]},
        "sample": {"size": settings["sample"]},
        "base": {"path": "models/mirror-mini-en"},
        "tuning": {"views": "identity", "batch_size": min(200, settings["sample"])},
        "evaluation": {"benchmarks": ["passage-retrieval"]},
        "registry": {"model": "bench"},
    }
    return parse_recipe(content, name="bench", source="bench")


def duckdb_copy(settings: Settings) -> dict[str, Any]:
    """Read the file and write it again, with our settings of threads and memory."""
    from mirror.duckdb_connection import connect

    out = Path(settings["work"]) / "copy.parquet"
    with peak_of_tree() as peak, connect(Path(settings["work"])) as engine:
        began, worked = time.perf_counter(), _worked()
        engine.read_parquet(settings["file"]).write_parquet(str(out), compression="zstd")
        seconds, worked = time.perf_counter() - began, _worked() - worked - peak[1]
    return {"seconds": seconds, "processor_seconds": worked, "mb": peak[0]}


def _worked() -> float:
    """Return the processor time in seconds of this process and of its children that have ended.

    Unlike the time of the clock, it hardly depends on other programs.
    """
    return sum(os.times()[:4])


SIDES: dict[str, Side] = {"mirrored": mirrored, "duckdb": duckdb_copy}


@contextmanager
def peak_of_tree(every: float = 0.1) -> Iterator[list[float]]:
    """Yield the peak memory in MB of this process and its descendants, and the watcher's seconds.

    Shared pages count once; both numbers are those so far, in a list.
    """
    peak, done = [_tree_memory(), 0.0], threading.Event()

    def watch() -> None:
        while not done.wait(every):
            peak[:] = max(peak[0], _tree_memory()), time.thread_time()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _tree_memory() -> float:
    waiting, total = [os.getpid()], 0
    while waiting:
        process = Path("/proc") / str(waiting.pop())
        try:
            text = (process / "smaps_rollup").read_text(encoding="ascii")
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text(encoding="ascii").split())
        except OSError:  # the process has ended
            continue
        match = re.search(r"^Pss:\s+(\d+) kB$", text, re.MULTILINE)
        total += int(match[1]) if match else 0
    return total * 1024 / MEGABYTE


def compare(arguments: argparse.Namespace, folder: Path, gigabytes: float) -> dict[str, Any]:
    """Run both sides at one size."""
    file = folder / "text.parquet"
    print_line(Console(stderr=True), f"writing {gigabytes:g} GB of text")
    sentences = write_text(file, gigabytes, seed=42)

    def side(name: str) -> Any:
        def run() -> dict[str, Any]:
            with tempfile.TemporaryDirectory(dir=folder) as work:
                common = {"file": str(file), "work": work, "sample": arguments.sample}
                common["corpus"] = LINES if arguments.lines else {}
                return run_side(__file__, name, common)

        return run

    results = take_turns({name: side(name) for name in SIDES}, arguments.rounds)
    file.unlink()
    rows = sentences // SENTENCES if arguments.lines else sentences
    return {"gigabytes": gigabytes, "rows": rows, **results}


def sum_up(arguments: argparse.Namespace, sizes: list[dict[str, Any]]) -> Findings:
    """Return the rows of each size, and the slopes."""
    rows = []
    seconds: dict[str, list[float]] = {"ingest": [], "sample": [], "DuckDB": []}
    for result in sizes:
        size, count = f"{result['gigabytes']:g} GB", result["rows"]
        ours, theirs = result["mirrored"], result["duckdb"]
        plain = each(theirs, "seconds")
        seconds["DuckDB"].append(float(np.median(plain)))
        rows.append(
            Row(f"DuckDB reads and writes, {size}", "rows/s", [count / taken for taken in plain])
        )
        for what in ("ingest", "sample"):
            taken = each(ours, f"{what}_seconds")
            seconds[what].append(float(np.median(taken)))
            rows.append(
                Row(f"{what}, {size}", "rows/s", [count / each_time for each_time in taken])
            )
            rows.append(Row(f"{what} / DuckDB, time, {size}", "times", ratios(taken, plain)))
        worked = each(ours, "ingest_processor_seconds"), each(theirs, "processor_seconds")
        rows.append(
            Row(
                f"ingest, {size}, by processor time",
                "rows/s",
                [count / taken for taken in worked[0]],
            )
        )
        rows.append(Row(f"ingest / DuckDB, processor time, {size}", "times", ratios(*worked)))
        rows.append(Row(f"peak memory, DuckDB, {size}", "MB", each(theirs, "mb")))
        rows.append(Row(f"peak memory, ingest, {size}", "MB", each(ours, "ingest_mb")))
        rows.append(Row(f"peak memory, sample, {size}", "MB", each(ours, "sample_mb")))
    if len(sizes) > 1:
        logs = np.log([result["rows"] for result in sizes])
        for what, taken in seconds.items():
            slope = float(np.polyfit(logs, np.log(taken), 1)[0])
            rows.append(Row(f"slope of time over size, {what}", "", [slope]))
    settings = {"sentences a document": SENTENCES, "sample": arguments.sample}
    title = "Ingestion and sampling" + (", line by line" if arguments.lines else "")
    note = f"A row is {'a document' if arguments.lines else 'a sentence'}."
    return Findings(title, settings, rows, [note])


def main() -> None:
    """Print the findings as a table or as JSON."""
    parser = make_parser(str(__doc__))
    parser.add_argument("--gigabytes", type=float, nargs="+", default=[0.02, 0.06])
    parser.add_argument("--lines", action="store_true", help="no splitting, no language check")
    parser.add_argument("--sample", type=int, default=SAMPLE)
    parser.add_argument("--folder", type=Path, help="where temporary files go; 4 times the text")
    arguments = parser.parse_args()
    machine = begin(arguments)
    if run_if_side(arguments, SIDES):
        return
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        sizes = [compare(arguments, Path(folder), size) for size in sorted(arguments.gigabytes)]
    print_findings(sum_up(arguments, sizes), machine, arguments.json)


if __name__ == "__main__":
    main()
