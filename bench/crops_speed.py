"""Speed and memory of tuning on crops, compared with sentence-transformers' trainer.

    python -m bench.crops_speed --rounds 5
    python -m bench.crops_speed --steps 2 --documents documents.json

All sides have the same pairs, which `view_pair` draws for the first epoch, and the same base,
batch size, number of steps, learning rate, temperature and maximum length.  Ours draws them itself,
without validation and merging.

The trainer has bf16 where ours has it, and two kinds of batches: shuffled, its default, and of
pairs of similar length, which need less padding and give harder negatives.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.measuring import (
    Findings,
    Row,
    Settings,
    Side,
    add_base_and_texts,
    add_tuning,
    begin,
    each,
    make_parser,
    print_findings,
    ratios,
    run_if_side,
    run_side,
    size_label,
    take_turns,
)
from bench.strings import random_base, read_documents, write_texts
from bench.tuning_sides import Clock, run_trainer, tune_ours
from bench.tuning_speed import device

if TYPE_CHECKING:
    from mirror.tuning.items import DocumentItem, ViewPair
    from mirror.tuning_config import TuningSection

COMMON = (
    "batch_size",
    "learning_rate",
    "temperature",
    "max_tokens",
    "pooling",
    "precision",
    "seed",
)
"""Settings that all sides have in common."""
METHODS = {
    "trainer": "sentence-transformers' trainer",
    "trainer, by length": "sentence-transformers' trainer, batches by length",
    "ours": "ours",
}


def trainer(settings: Settings, *, by_length: bool = False) -> dict[str, Any]:
    """Tune by sentence-transformers' trainer, in the precision that ours has."""
    import torch

    from mirror.tuning.batch_sampler import epoch_batches
    from mirror.tuning.model_setup import uses_bf16

    pairs = draw_pairs(settings)
    bf16 = uses_bf16(_section(settings), torch.device(settings["device"]))
    more: Settings = {"bf16": bf16}
    if by_length:
        lengths = [len(pair.first) + len(pair.second) for pair in pairs]
        size, seed = settings["batch_size"], settings["seed"]
        batches = [list(batch) for batch in epoch_batches(len(pairs), size, seed, 0, lengths)]
        more["batch_sampler"] = lambda dataset, **_: batches
    first, second = [pair.first for pair in pairs], [pair.second for pair in pairs]
    return {**run_trainer(settings, first, second, **more), "bf16": bf16}


def ours(settings: Settings) -> dict[str, Any]:
    """Tune by `mirror.tuning.trainer.tune`, as a recipe with crops does."""
    clock = Clock()
    changes = _changes(settings)
    tune_ours(Path(settings["base"]), _documents(settings), changes, clock.tick)
    return clock.result(settings)


def draw_pairs(settings: Settings) -> list[ViewPair]:
    """Return the pairs of texts that our method tunes on in its first epoch."""
    from mirror.tuning.items import view_pair

    section = _section(settings)
    return [view_pair(each, n, 0, section) for n, each in enumerate(_documents(settings))]


SIDES: dict[str, Side] = {
    "trainer": trainer,
    "trainer, by length": partial(trainer, by_length=True),
    "ours": ours,
}


def _documents(settings: Settings) -> list[DocumentItem]:
    from mirror.tuning.items import DocumentItem

    documents = json.loads(Path(settings["texts"]).read_text(encoding="utf-8"))
    return [DocumentItem(tuple(sentences)) for sentences in documents]


def _changes(settings: Settings) -> Settings:
    given = {name: settings[name] for name in COMMON}
    return {**given, "views": "crops", "validation_documents": 0, **settings["extra"]}


def _section(settings: Settings) -> TuningSection:
    from mirror.tuning_config import TuningSection
    from mirror.tuning_defaults import fill_tuning

    return TuningSection(**fill_tuning("sentence", _changes(settings)))


def compare(arguments: argparse.Namespace, folder: Path) -> Findings:
    """Run all sides and return the findings."""
    base = arguments.base.absolute()
    if arguments.layers:
        base = random_base(base, arguments.layers, arguments.width, folder / "base")
    count = arguments.steps * arguments.batch_size
    documents = read_documents(arguments.documents, count, arguments.workspace)
    common = {name: getattr(arguments, name) for name in COMMON}
    common |= {"base": str(base), "texts": write_texts(documents, folder)}
    common |= {"device": device(arguments.device), "extra": json.loads(arguments.extra)}
    sides = {name: partial(run_side, __file__, name, common) for name in METHODS}
    return sum_up(arguments, take_turns(sides, arguments.rounds), tokens_per_pair(common))


def tokens_per_pair(settings: Settings) -> float:
    """Return the mean number of tokens that are read of both texts of a pair."""
    from mirror.encoders.encoder import Encoder

    encoder = Encoder.load(
        Path(settings["base"]), settings["pooling"], settings["max_tokens"], device="cpu"
    )
    pairs = draw_pairs(settings)
    rows = encoder.token_ids([text for pair in pairs for text in (pair.first, pair.second)])
    return sum(map(len, rows)) / len(pairs)


def sum_up(
    arguments: argparse.Namespace, results: dict[str, list[dict[str, Any]]], tokens: float
) -> Findings:
    """Return the rows, with ratios and goals."""
    size = size_label(arguments)
    speed = {side: each(results[side], "strings_per_second") for side in METHODS}
    memory = {side: each(results[side], "peak_mb") for side in METHODS}
    rows = [Row(f"{name}, {size}", "pairs/s", speed[side]) for side, name in METHODS.items()]
    for side in ("trainer", "trainer, by length"):
        title = f"ours / {METHODS[side]}"
        rows.append(Row(title, "times", ratios(speed["ours"], speed[side]), 3.0))
    rows += [Row(f"peak memory, {name}", "MB", memory[side]) for side, name in METHODS.items()]
    title = "peak memory, sentence-transformers' / ours"
    rows.append(Row(title, "times", ratios(memory["trainer"], memory["ours"]), 2.0))
    settings = {
        "pairs": arguments.steps * arguments.batch_size,
        "tokens a pair": round(tokens, 1),
        "batch": arguments.batch_size,
        "pooling": arguments.pooling,
        "precision of the trainer": "bf16" if results["trainer"][0]["bf16"] else "fp32",
    }
    return Findings(f"Tuning on crops, {size}", settings, rows)


def main() -> None:
    """Print the findings as a table or as JSON."""
    parser = make_parser(str(__doc__))
    add_base_and_texts(parser, texts=False)
    parser.add_argument(
        "--documents", type=Path, help="JSON, lists of sentences; else the main job's documents"
    )
    add_tuning(
        parser, steps=10, batch_size=128, max_tokens=96, learning_rate=3e-4, temperature=0.05
    )
    arguments = parser.parse_args()
    machine = begin(arguments)
    if run_if_side(arguments, SIDES):
        return
    if arguments.steps < 2:
        sys.exit("--steps: at least 2, because the first step is not measured")
    with tempfile.TemporaryDirectory() as folder:
        print_findings(compare(arguments, Path(folder)), machine, arguments.json)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
