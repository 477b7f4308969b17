"""How fast text is ingested and sampled, beside DuckDB's own reading and writing of the same file.

    python bench/data_speed.py --gigabytes 0.1 1 5 --lines

A seeded generator writes documents of four sentences, of English words drawn by how frequent they
are, into one Parquet file; ten sentences in a hundred are repeated.  DuckDB reads the file and
writes it again, which is the least that anything could do.  Ingesting it is splitting, cleaning,
checking the language, finding what is repeated, and writing what is kept; with `--lines` a document
is taken as it is, and its language is not checked.  The slope is that of seconds over size, both as
logarithms: 1 means that twice the text takes twice the time.
"""

from __future__ import annotations

import argparse
import json
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
from measuring import (
    MEGABYTE,
    Findings,
    Row,
    begin,
    each,
    parser,
    ratios,
    run_side,
    take_turns,
    tell,
)

from mirror.recipe import Recipe, parse_recipe

Asked = dict[str, Any]
PHRASES = 50_000
PHRASE_WORDS = 6
SENTENCES = 4
REPEATED = 0.1
RECENT = 1_000
CHUNK = 20_000
SAMPLE = 10_000
LINES = {"split_into": "lines", "check_language": False}


def write_text(path: Path, gigabytes: float, seed: int) -> int:
    """Writes about so many gigabytes of text, of 10^9 bytes; returns the number of sentences."""
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


def mirrored(asked: Asked) -> dict[str, Any]:
    """Ingest, then sample."""
    from mirror.corpus.ingest import ingest_corpus
    from mirror.sampling.sample import sample_strings
    from mirror.store import Store

    recipe, store = _recipe(asked), Store(Path(asked["work"]) / "home")
    with peak_of_tree() as ingesting:
        began, worked = time.perf_counter(), _worked()
        corpus = ingest_corpus(recipe, store)
        ingested, worked = time.perf_counter() - began, _worked() - worked
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


def _recipe(asked: Asked) -> Recipe:
    content = {
        "language": "en",
        "domain": "bench",
        "level": "sentence",
        "corpus": {"source": "files", "paths": [asked["file"]], **asked["corpus"]},
        "sample": {"size": asked["sample"]},
        "base": {"path": "models/mirror-mini-en"},
        "tuning": {"batch_size": min(200, asked["sample"])},
        "evaluation": {"benchmarks": ["passage-retrieval"]},
        "registry": {"model": "bench"},
    }
    return parse_recipe(content, name="bench", place="bench")


def duckdb_copy(asked: Asked) -> dict[str, Any]:
    """Read and write, nothing else, with our settings of threads and memory."""
    from mirror.duckdb_connection import connect

    out = Path(asked["work"]) / "copy.parquet"
    with peak_of_tree() as peak, connect(Path(asked["work"])) as engine:
        began, worked = time.perf_counter(), _worked()
        engine.read_parquet(asked["file"]).write_parquet(str(out), compression="zstd")
        seconds, worked = time.perf_counter() - began, _worked() - worked
    return {"seconds": seconds, "processor_seconds": worked, "mb": peak[0]}


def _worked() -> float:
    """Seconds of processor time of this process and of those below it that have ended.

    What neighbours take lengthens a run, and this hardly.
    """
    return sum(os.times()[:4])


SIDES = {"mirrored": mirrored, "duckdb": duckdb_copy}


@contextmanager
def peak_of_tree(every: float = 0.1) -> Iterator[list[float]]:
    """Within the block, the most memory of this process and all below it, MB, in a list of one.

    Pages that several of them share count once.
    """
    peak, done = [_tree_memory()], threading.Event()

    def watch() -> None:
        while not done.wait(every):
            peak[0] = max(peak[0], _tree_memory())

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
            told = (process / "smaps_rollup").read_text(encoding="ascii")
            for children in process.glob("task/*/children"):
                waiting += map(int, children.read_text(encoding="ascii").split())
        except OSError:  # it ended meanwhile
            continue
        found = re.search(r"^Pss:\s+(\d+) kB$", told, re.MULTILINE)
        total += int(found[1]) if found else 0
    return total * 1024 / MEGABYTE


def compare(asked: argparse.Namespace, folder: Path, gigabytes: float) -> dict[str, Any]:
    """Both sides at one size."""
    file = folder / "text.parquet"
    sentences = write_text(file, gigabytes, seed=42)

    def side(name: str) -> Any:
        def run() -> dict[str, Any]:
            with tempfile.TemporaryDirectory(dir=folder) as work:
                common = {"file": str(file), "work": work, "sample": asked.sample}
                common["corpus"] = LINES if asked.lines else {}
                return run_side(__file__, name, common)

        return run

    results = take_turns({name: side(name) for name in SIDES}, asked.rounds)
    file.unlink()
    rows = sentences // SENTENCES if asked.lines else sentences
    return {"gigabytes": gigabytes, "rows": rows, **results}


def sum_up(asked: argparse.Namespace, sizes: list[dict[str, Any]]) -> Findings:
    """Rows for each size, and the slopes."""
    rows = []
    seconds: dict[str, list[float]] = {"ingest": [], "sample": [], "DuckDB": []}
    for made in sizes:
        size, count = f"{made['gigabytes']:g} GB", made["rows"]
        ours, theirs = made["mirrored"], made["duckdb"]
        plain = each(theirs, "seconds")
        seconds["DuckDB"].append(float(np.median(plain)))
        rows.append(
            Row(f"DuckDB reads and writes, {size}", "rows/s", [count / taken for taken in plain])
        )
        for what in ("ingest", "sample"):
            taken = each(ours, f"{what}_seconds")
            seconds[what].append(float(np.median(taken)))
            rows.append(Row(f"{what}, {size}", "rows/s", [count / each_of for each_of in taken]))
            rows.append(Row(f"{what} / DuckDB, time, {size}", "times", ratios(taken, plain)))
        worked = each(ours, "ingest_processor_seconds"), each(theirs, "processor_seconds")
        rows.append(
            Row(f"ingest, {size}, a processor", "rows/s", [count / taken for taken in worked[0]])
        )
        rows.append(Row(f"ingest / DuckDB, processor time, {size}", "times", ratios(*worked)))
        rows.append(Row(f"peak memory, DuckDB, {size}", "MB", each(theirs, "mb")))
        rows.append(Row(f"peak memory, ingest, {size}", "MB", each(ours, "ingest_mb")))
        rows.append(Row(f"peak memory, sample, {size}", "MB", each(ours, "sample_mb")))
    if len(sizes) > 1:
        logs = np.log([made["rows"] for made in sizes])
        for what, taken in seconds.items():
            slope = float(np.polyfit(logs, np.log(taken), 1)[0])
            rows.append(Row(f"slope of time over size, {what}", "", [slope]))
    settings = {"sentences a document": SENTENCES, "sample": asked.sample}
    title = "Ingestion and sampling" + (", line by line" if asked.lines else "")
    note = f"A row is {'a document' if asked.lines else 'a sentence'}."
    return Findings(title, settings, rows, [note])


def main() -> None:
    """Prints the table, or the JSON of it."""
    made = parser(str(__doc__))
    made.add_argument("--gigabytes", type=float, nargs="+", default=[0.02, 0.06])
    made.add_argument("--lines", action="store_true", help="no splitting, no language check")
    made.add_argument("--sample", type=int, default=SAMPLE)
    made.add_argument("--folder", type=Path, help="where temporary files go; 4 times the text")
    asked = made.parse_args()
    machine = begin(asked)
    if asked.side:
        name, settings = asked.side
        print(json.dumps(SIDES[name](json.loads(settings))))
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        sizes = [compare(asked, Path(folder), size) for size in sorted(asked.gigabytes)]
    tell(sum_up(asked, sizes), machine, asked.json)


if __name__ == "__main__":
    main()
