"""Parts of `bench/gpu_check.sh`: texts and a token file to carry, tuning on crops, pretraining.

    python -m bench.gpu_check prepare TEXT.parquet FOLDER
    python -m bench.gpu_check crops FOLDER [--small]
    python -m bench.gpu_check pretrain FOLDER --minutes 4 [--small]

`prepare` runs on any machine.  The others need no DuckDB, Prefect or MLflow.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from mirror.paths import CHECKOUT
from mirror.pretraining.config import ModelShape, PretrainingSettings
from mirror.pretraining.stage import PretrainingPaused, prepare_pieces, pretrain_model
from mirror.progress import ProgressEvent
from mirror.store import Store
from mirror.tuning.items import DocumentItem, Item
from mirror.tuning.trainer import TrainingPaths, tune
from mirror.tuning_config import TuningSection
from mirror.tuning_defaults import fill_tuning

BASE = CHECKOUT / "models" / "mirror-mini-en"
STRINGS = 10_000
CHARACTERS = 100_000_000
"""Text that is pretrained on: about 25 million tokens, 50 MB as a token file."""
SHAPE = ModelShape(num_layers=6, hidden_size=320, num_heads=5)
"""12 million parameters."""
SMALL_SHAPE = ModelShape(num_layers=1, hidden_size=32, num_heads=2, vocabulary_size=2_000)


def prepare(corpus: Path, folder: Path, *, small: bool) -> None:
    """Write `strings.txt`, `documents.json`, and the token file's stage in `workspace`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mirror.corpus.sentences import split_sentences

    folder.mkdir(parents=True, exist_ok=True)
    texts = _texts(corpus, CHARACTERS // 100 if small else CHARACTERS)
    table = pa.table({"text": texts, "source": ["text"] * len(texts)})
    pq.write_table(table, folder / "text.parquet")
    documents = ([*split_sentences(text, "en")] for text in texts)
    chosen = list(itertools.islice((each for each in documents if len(each) > 1), STRINGS))
    (folder / "documents.json").write_text(json.dumps(chosen), encoding="utf-8")
    lines = list(dict.fromkeys(sentence for each in chosen for sentence in each))[:STRINGS]
    (folder / "strings.txt").write_text("\n".join(lines), encoding="utf-8")
    record = prepare_pieces(_pretraining(folder, small=small), Store(folder / "workspace"), _show)
    print(f"{len(lines)} strings, {len(chosen)} documents, tokens: {dict(record.counts)}")


def _texts(corpus: Path, characters: int) -> list[str]:
    import pyarrow.parquet as pq

    def rows() -> Iterator[str]:
        left = characters
        for batch in pq.ParquetFile(corpus).iter_batches(columns=["text"]):
            for text in batch["text"].to_pylist():
                if left <= 0:
                    return
                left -= len(text)
                yield text

    return list(rows())


def crops(folder: Path, *, small: bool) -> None:
    """Tune the shipped base on crops, and print the time and the counts."""
    documents: list[Item] = [
        DocumentItem(tuple(sentences))
        for sentences in json.loads((folder / "documents.json").read_text(encoding="utf-8"))
    ]
    given = {"views": "crops", "pooling": "cls", "learning_rate": 3e-4}
    settings = TuningSection.model_validate(fill_tuning("sentence", given))
    with tempfile.TemporaryDirectory() as work:
        paths = TrainingPaths(BASE, Path(work, "out"), Path(work, "work"))
        paths.out.mkdir()
        paths.work.mkdir()
        began = time.perf_counter()
        counts = tune(settings, documents[:600] if small else documents, paths)
    print(f"crops: {time.perf_counter() - began:.1f} s, {dict(counts)}")


def pretrain(folder: Path, minutes: float, *, small: bool) -> None:
    """Pretrain for some minutes, from the last checkpoint if there is one."""
    settings, store = _pretraining(folder, small=small), Store(folder / "workspace")
    pieces = prepare_pieces(settings, store)
    try:
        record = pretrain_model(settings, pieces, store, minutes, _show)
    except PretrainingPaused as paused:
        print(paused)
    else:
        print(f"pretrained: {record.path}, {dict(record.counts)}")


def _pretraining(folder: Path, *, small: bool) -> PretrainingSettings:
    return PretrainingSettings(
        name="mirror-small-en",
        language="en",
        corpus=(str((folder / "text.parquet").absolute()),),
        shape=SMALL_SHAPE if small else SHAPE,
        tokens_per_step=4_096 if small else 65_536,
        total_tokens=40_000 if small else 2_000_000_000,
        warmup_tokens=10_000 if small else 10_000_000,
        num_processes=1,
    )


def _show(event: ProgressEvent) -> None:
    print(f"{event.stage}: {event.done:,} of {event.total or 0:,} {event.unit} {event.text}")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=["prepare", "crops", "pretrain"])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--small", action="store_true", help="a dry run on a CPU")
    options = parser.parse_args()
    torch.manual_seed(0)
    if options.part == "prepare":
        prepare(*options.paths[:2], small=options.small)
    elif options.part == "crops":
        crops(options.paths[0], small=options.small)
    else:
        pretrain(options.paths[0], options.minutes, small=options.small)


if __name__ == "__main__":
    main()
