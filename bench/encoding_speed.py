"""Speed of encoding, compared with `SentenceTransformer.encode`.

    python -m bench.encoding_speed --strings 5000

Both sides load the same saved encoder and encode the same texts in one call, in fp32, after a short
call that is not measured. Their vectors are compared.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from bench.machine import memory_peak
from bench.measuring import (
    Findings,
    Row,
    Settings,
    Side,
    add_base_and_texts,
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
from bench.strings import random_base, read_texts, write_texts

WARM_UP = 32
LARGEST_DIFFERENCE = 1e-4
"""Of the numbers of the vectors."""


def ours(settings: Settings) -> dict[str, Any]:
    """Encode by `Encoder.encode`."""
    import torch

    from mirror.encoders.encoder import Encoder
    from mirror.hardware import thread_count

    torch.set_num_threads(thread_count())
    return _timed(Encoder.load(Path(settings["encoder"]), device=settings["device"]), settings)


def theirs(settings: Settings) -> dict[str, Any]:
    """Encode by `SentenceTransformer.encode`, with its defaults."""
    from sentence_transformers import SentenceTransformer

    device = None if settings["device"] == "auto" else settings["device"]
    return _timed(SentenceTransformer(settings["encoder"], device=device), settings)


def _timed(encoder: Any, settings: Settings) -> dict[str, Any]:
    texts = json.loads(Path(settings["texts"]).read_text(encoding="utf-8"))
    encoder.encode(texts[:WARM_UP])
    began, busy = time.perf_counter(), time.process_time()
    vectors = encoder.encode(texts)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    np.save(settings["vectors"], vectors)
    return {
        "texts_per_second": len(texts) / seconds,
        "texts_per_processor_second": len(texts) / busy,
        "peak_mb": memory_peak(),
    }


SIDES: dict[str, Side] = {"ours": ours, "theirs": theirs}


def make_encoder(base: Path, pooling: Any, max_tokens: int, folder: Path) -> Path:
    """Save a base as an encoder, in the form in which tuning saves one."""
    from mirror.encoders.encoder import Encoder

    Encoder.load(base, pooling, max_tokens).save(folder)
    return folder


def compare(arguments: argparse.Namespace, folder: Path) -> Findings:
    """Run both sides and return the findings."""
    base = arguments.base.absolute()
    if arguments.layers:
        base = random_base(base, arguments.layers, arguments.width, folder / "base")
    texts = read_texts(arguments.texts, arguments.strings, arguments.workspace)
    encoder = make_encoder(base, arguments.pooling, arguments.max_tokens, folder / "encoder")
    common = {"encoder": str(encoder), "texts": write_texts(texts, folder)}

    def side(name: str) -> Any:
        own = common | {"vectors": str(folder / f"{name}.npy"), "device": arguments.device}
        return lambda: run_side(__file__, name, own)

    results = take_turns({name: side(name) for name in SIDES}, arguments.rounds)
    difference = np.abs(np.load(folder / "ours.npy") - np.load(folder / "theirs.npy")).max()
    speed = {name: each(results[name], "texts_per_second") for name in SIDES}
    memory = {name: each(results[name], "peak_mb") for name in SIDES}
    title = "largest difference between the vectors' numbers"
    rows = [
        Row("SentenceTransformer.encode", "texts/s", speed["theirs"]),
        Row("ours", "texts/s", speed["ours"]),
        Row("ours / SentenceTransformer.encode", "times", ratios(*speed.values()), 1.5),
        Row("peak memory, SentenceTransformer.encode", "MB", memory["theirs"]),
        Row("peak memory, ours", "MB", memory["ours"]),
        Row(title, "", [float(difference)], at_most=LARGEST_DIFFERENCE),
    ]
    return Findings(f"Encoding, {size_label(arguments)}", {"texts": arguments.strings}, rows)


def main() -> None:
    """Print the findings as a table or as JSON."""
    parser = make_parser(str(__doc__))
    add_base_and_texts(parser)
    parser.add_argument("--strings", type=int, default=5_000)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--pooling", choices=["cls", "mean"], default="mean")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    arguments = parser.parse_args()
    machine = begin(arguments)
    if run_if_side(arguments, SIDES):
        return
    with tempfile.TemporaryDirectory() as folder:
        print_findings(compare(arguments, Path(folder)), machine, arguments.json)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
