"""How fast encoding is, beside `SentenceTransformer.encode`: same folder, same texts, same vectors.

    python bench/encoding_speed.py --strings 5000

Our `Encoder` and sentence-transformers read one saved encoder; each runs in a process of
its own, in turn, in fp32, on what it is given at once, after one short call that is not counted.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from measuring import (
    Findings,
    Row,
    begin,
    each,
    memory_peak,
    parser,
    ratios,
    run_side,
    take_turns,
    tell,
)
from strings import random_base, read_texts

Asked = dict[str, Any]
WARM = 32


def ours(asked: Asked) -> dict[str, Any]:
    """`Encoder.encode`."""
    import torch

    from mirror.encoders.encoder import Encoder
    from mirror.hardware import thread_count

    torch.set_num_threads(thread_count())
    return _timed(Encoder.load(Path(asked["encoder"]), device=asked["device"]), asked)


def theirs(asked: Asked) -> dict[str, Any]:
    """`SentenceTransformer.encode`, its defaults."""
    from sentence_transformers import SentenceTransformer

    device = None if asked["device"] == "auto" else asked["device"]
    return _timed(SentenceTransformer(asked["encoder"], device=device), asked)


def _timed(encoder: Any, asked: Asked) -> dict[str, Any]:
    texts = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    encoder.encode(texts[:WARM])
    began, busy = time.perf_counter(), time.process_time()
    vectors = encoder.encode(texts)
    seconds, busy = time.perf_counter() - began, time.process_time() - busy
    np.save(asked["vectors"], vectors)
    return {
        "texts_per_second": len(texts) / seconds,
        "texts_per_processor_second": len(texts) / busy,
        "peak_mb": memory_peak(),
    }


SIDES = {"ours": ours, "theirs": theirs}


def make_encoder(base: Path, pooling: Any, max_tokens: int, folder: Path) -> Path:
    """The base saved as an encoder, as tuning would save it."""
    from mirror.encoders.encoder import Encoder

    Encoder.load(base, pooling, max_tokens).save(folder)
    return folder


def main() -> None:
    """Prints the table, or the JSON of it."""
    made = parser(str(__doc__))
    made.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    made.add_argument("--layers", type=int, default=0, help="a base of random weights instead")
    made.add_argument("--width", type=int, default=768)
    made.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    made.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))
    made.add_argument("--strings", type=int, default=5_000)
    made.add_argument("--max-tokens", type=int, default=128)
    made.add_argument("--pooling", choices=["cls", "mean"], default="mean")
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    asked = made.parse_args()
    machine = begin(asked)
    if asked.side:
        name, settings = asked.side
        print(json.dumps(SIDES[name](json.loads(settings))))
        return
    with tempfile.TemporaryDirectory() as place:
        folder, base = Path(place), asked.base.absolute()
        if asked.layers:
            base = random_base(base, asked.layers, asked.width, folder / "base")
        texts = read_texts(asked.texts, asked.strings, asked.workspace)
        (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
        encoder = make_encoder(base, asked.pooling, asked.max_tokens, folder / "encoder")
        common = {"encoder": str(encoder), "texts": str(folder / "texts.json")}

        def side(name: str) -> Any:
            own = common | {"vectors": str(folder / f"{name}.npy"), "device": asked.device}
            return lambda: run_side(__file__, name, own)

        results = take_turns({name: side(name) for name in SIDES}, asked.rounds)
        apart = np.abs(np.load(folder / "ours.npy") - np.load(folder / "theirs.npy")).max()
    speed = {name: each(results[name], "texts_per_second") for name in SIDES}
    memory = {name: each(results[name], "peak_mb") for name in SIDES}
    rows = [
        Row("SentenceTransformer.encode", "texts/s", speed["theirs"]),
        Row("ours", "texts/s", speed["ours"]),
        Row("ours / SentenceTransformer.encode", "times", ratios(*speed.values()), 1.5),
        Row("peak memory, SentenceTransformer.encode", "MB", memory["theirs"]),
        Row("peak memory, ours", "MB", memory["ours"]),
        Row("largest difference between the vectors' numbers", "", [float(apart)]),
    ]
    size = f"{asked.layers} x {asked.width}" if asked.layers else asked.base.name
    tell(Findings(f"Encoding, {size}", {"texts": asked.strings}, rows), machine, asked.json)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
