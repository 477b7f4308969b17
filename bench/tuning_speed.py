"""How fast tuning is, beside the method as published and beside sentence-transformers.

    python bench/tuning_speed.py --rounds 5
    python bench/tuning_speed.py --layers 12 --width 768 --steps 3

Same strings, base, batch size, learning rate, temperature and longest string; each side in a
process of its own, in turn.  The share of the processor is the arithmetic that the tokens of the
strings need, padding not counted, over the best matrix multiplication that was measured in the same
round on the same threads: 6 operations a weight and token, and attention's own.  Where the class
token's vector is taken, the last layer needs the others for its keys and values alone.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from measuring import (
    Findings,
    Row,
    begin,
    each,
    memory_now,
    memory_peak,
    parser,
    ratios,
    run_side,
    take_turns,
    tell,
)
from strings import random_base, read_texts

Asked = dict[str, Any]
PEAK_SHAPES = ((4_096, 768, 3_072), (4_096, 1_024, 1_024), (2_048, 2_048, 2_048))
PEAK_SECONDS = 0.4
COMMON = (
    "batch_size",
    "learning_rate",
    "temperature",
    "max_tokens",
    "mask_length",
    "dropout",
    "weight_decay",
    "pooling",
    "seed",
)
"""Settings that all sides have in common."""


class Clock:
    """Times and losses of steps; the first step is left out of the speed, as it warms caches."""

    def __init__(self) -> None:
        self.loaded = memory_now()
        self.times: list[float] = []
        self.busy: list[float] = []
        self.losses: list[float] = []

    def tick(self, loss: float) -> None:
        """A step is done."""
        self.times.append(time.perf_counter())
        self.busy.append(time.process_time())
        self.losses.append(loss)

    def result(self, asked: Asked) -> dict[str, Any]:
        """What a side comes to."""
        steps = len(self.times) - 1
        seconds = (self.times[-1] - self.times[0]) / steps
        busy = (self.busy[-1] - self.busy[0]) / steps
        half = max(1, len(self.losses) // 2)
        return {
            "strings_per_second": asked["batch_size"] / seconds,
            "strings_per_processor_second": asked["batch_size"] / busy,
            "peak_mb": memory_peak(),
            "loaded_mb": self.loaded,
            "first_loss": mean(self.losses[:half]),
            "last_loss": mean(self.losses[-half:]),
            "steps": len(self.times),
        }


def official(asked: Asked) -> dict[str, Any]:
    """The method as published."""
    from official_method import OfficialMethod

    texts = _texts(asked)
    method, size = OfficialMethod(Path(asked["base"]), asked), asked["batch_size"]
    clock = Clock()
    for start in range(0, len(texts), size):
        clock.tick(method.step(texts[start : start + size]))
    return clock.result(asked)


def trainer(asked: Asked) -> dict[str, Any]:
    """sentence-transformers' trainer: a text beside itself, in-batch negatives, its defaults."""
    import torch
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import TrainerCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    texts = _texts(asked)
    # else it trains in whatever the weights are stored in, which may be halves
    precision = {"dtype": torch.float32}
    words = Transformer(asked["base"], max_seq_length=asked["max_tokens"], model_kwargs=precision)
    pooling = Pooling(words.get_embedding_dimension(), pooling_mode=asked["pooling"])
    model = SentenceTransformer(modules=[words, pooling], device=asked["device"])
    clock = Clock()

    class Watch(TrainerCallback):
        """Passes every step's loss to the clock."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            """Called once a step."""
            if logs and "loss" in logs:
                clock.tick(float(logs["loss"]))

    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder,
            num_train_epochs=1,
            per_device_train_batch_size=asked["batch_size"],
            learning_rate=asked["learning_rate"],
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            use_cpu=asked["device"] == "cpu",
            seed=asked["seed"],
        )
        SentenceTransformerTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_dict({"anchor": texts, "positive": texts}),
            loss=MultipleNegativesRankingLoss(model, scale=1 / asked["temperature"]),
            callbacks=[Watch()],
        ).train()
    return clock.result(asked)


def ours(asked: Asked) -> dict[str, Any]:
    """`mirror.tuning.trainer.tune`, as a recipe would run it."""
    from mirror.tuning.trainer import TrainingPaths, tune
    from mirror.tuning_config import TuningSection, fill_tuning

    given = {name: asked[name] for name in (*COMMON, "precision")} | {"epochs": 1}
    settings = TuningSection(**fill_tuning("sentence", given | asked["extra"]))
    texts, clock = _texts(asked), Clock()
    with tempfile.TemporaryDirectory() as folder:
        place = TrainingPaths(Path(asked["base"]), Path(folder) / "out", Path(folder) / "work")
        place.out.mkdir()
        place.work.mkdir()
        tune(settings, texts, place, lambda step: clock.tick(step.loss))
    return clock.result(asked)


def peak(asked: Asked) -> dict[str, Any]:
    """The best matrix multiplication of this machine, in 10^9 operations a second."""
    import torch

    from mirror.hardware import thread_count

    torch.set_num_threads(thread_count())
    device = torch.device(asked["device"])
    found = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        found[name] = max(_matmul_rate(shape, kind, device) for shape in PEAK_SHAPES)
    return found


def _matmul_rate(shape: tuple[int, int, int], kind: Any, device: Any) -> float:
    import torch

    rows, inner, columns = shape
    first = torch.randn(rows, inner, device=device).to(kind)
    second = torch.randn(columns, inner, device=device).to(kind).T
    best, ends = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < ends:
        began = time.perf_counter()
        first @ second
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best / 1e9


SIDES = {"official": official, "trainer": trainer, "ours": ours, "peak": peak}


def _texts(asked: Asked) -> list[str]:
    texts: list[str] = json.loads(Path(asked["texts"]).read_text(encoding="utf-8"))
    return texts


def work_per_string(
    base: Path, texts: Sequence[str], max_tokens: int, pooling: str
) -> tuple[float, float]:
    """Arithmetic operations and tokens that a string needs in training, both views counted."""
    from transformers import AutoConfig, AutoTokenizer

    config = AutoConfig.from_pretrained(base, trust_remote_code=False)
    tokenizer = AutoTokenizer.from_pretrained(base, trust_remote_code=False)
    lengths = [
        len(row)
        for row in tokenizer(list(texts), truncation=True, max_length=max_tokens)["input_ids"]
    ]
    width, layers, wide = config.hidden_size, config.num_hidden_layers, config.intermediate_size
    full = layers - 1 if pooling == "cls" else layers
    work = 0
    for length in lengths:
        weights = full * (4 * width * width + 2 * width * wide) * length
        attended = full * length**2
        if pooling == "cls":  # keys and values of all, the rest of one
            weights += 2 * width * width * length + 2 * width * width + 2 * width * wide
            attended += length
        work += 6 * weights + 12 * width * attended
    return 2 * work / len(texts), 2 * sum(lengths) / len(texts)


def compare(asked: argparse.Namespace, folder: Path) -> Findings:
    """Runs all sides, and sums them up."""
    base = asked.base.absolute()
    if asked.layers:
        base = random_base(base, asked.layers, asked.width, folder / "base")
    texts = read_texts(asked.texts, asked.steps * asked.batch_size, asked.workspace)
    (folder / "texts.json").write_text(json.dumps(texts), encoding="utf-8")
    common = {name: getattr(asked, name) for name in (*COMMON, "precision")}
    common |= {"base": str(base), "texts": str(folder / "texts.json"), "autocast": False}
    common |= {"device": device(asked.device), "extra": json.loads(asked.extra)}

    def side(name: str, **more: Any) -> Any:
        return lambda: run_side(__file__, name, common | more)

    results = take_turns(
        {
            "official": side("official"),
            "official, autocast": side("official", autocast=True),
            "trainer": side("trainer"),
            "ours": side("ours"),
            "peak": side("peak"),
        },
        asked.rounds,
    )
    return sum_up(asked, results, work_per_string(base, texts, asked.max_tokens, asked.pooling))


def sum_up(
    asked: argparse.Namespace, results: dict[str, list[dict[str, Any]]], work: tuple[float, float]
) -> Findings:
    """Rows with ratios and goals."""
    size = f"{asked.layers} x {asked.width}" if asked.layers else asked.base.name
    peaks = [max(made["fp32"], made["bf16"]) for made in results["peak"]]
    speed = {side: each(results[side], "strings_per_second") for side in results if side != "peak"}
    memory = {side: each(results[side], "peak_mb") for side in speed}
    names = {
        "official": "the method as published, fp32",
        "official, autocast": "the method as published, autocast",
        "trainer": "sentence-transformers' trainer",
        "ours": "ours",
    }
    rows = [Row(f"{names[side]}, {size}", "strings/s", speed[side]) for side in speed]
    goals = {"official": 8.0, "official, autocast": None, "trainer": 3.0}
    for side, goal in goals.items():
        rows.append(Row(f"ours / {names[side]}", "times", ratios(speed["ours"], speed[side]), goal))
    rows += [Row(f"peak memory, {names[side]}", "MB", memory[side]) for side in speed]
    rows.append(
        Row(
            "peak memory, sentence-transformers' / ours",
            "times",
            ratios(memory["trainer"], memory["ours"]),
            2.0,
        )
    )
    for kind in ("fp32", "bf16"):
        rows.append(Row(f"best matrix product, {kind}", "GFLOP/s", each(results["peak"], kind)))
    for side in speed:
        shares = [100 * work[0] / 1e9 * part for part in ratios(speed[side], peaks)]
        goal = 50.0 if side == "ours" and asked.width >= 768 and asked.layers >= 12 else None
        rows.append(Row(f"share of the best, {names[side]}", "%", shares, goal))
    for side in speed:
        rows.append(Row(f"loss, last half, {names[side]}", "", each(results[side], "last_loss")))
    losses = [each(results[side], "last_loss") for side in ("official", "ours")]
    rows.append(
        Row("loss, last half, the method as published / ours", "times", ratios(*losses), 0.95)
    )
    settings = {
        "strings": asked.steps * asked.batch_size,
        "tokens a string (both views)": round(work[1], 1),
        "batch": asked.batch_size,
        "pooling": asked.pooling,
        "precision": asked.precision,
    }
    note = "sentence-transformers' loss has one side's anchors only, and so is another number."
    return Findings(f"Tuning, {size}", settings, rows, [note])


def device(asked: str) -> str:
    """`cuda` where there is one if `auto`."""
    from mirror.encoders.encoder import resolve_device

    return resolve_device(asked)


def main() -> None:
    """Prints the table, or the JSON of it."""
    made = parser(str(__doc__))
    made.add_argument("--base", type=Path, default=Path("models/mirror-mini-en"))
    made.add_argument("--layers", type=int, default=0, help="a base of random weights instead")
    made.add_argument("--width", type=int, default=768)
    made.add_argument("--texts", type=Path, help="lines, or Parquet; else the main job's strings")
    made.add_argument("--workspace", type=Path, default=Path(".mirror/bench"))
    made.add_argument("--steps", type=int, default=20)
    made.add_argument("--batch-size", type=int, default=200)
    made.add_argument("--max-tokens", type=int, default=50)
    made.add_argument("--mask-length", type=int, default=5)
    made.add_argument("--dropout", type=float, default=0.1)
    made.add_argument("--learning-rate", type=float, default=2e-5)
    made.add_argument("--weight-decay", type=float, default=0.01)
    made.add_argument("--temperature", type=float, default=0.04)
    made.add_argument("--pooling", choices=["cls", "mean"], default="cls")
    made.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    made.add_argument("--extra", default="{}", metavar="JSON", help="more settings of ours")
    made.add_argument("--seed", type=int, default=42)
    made.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    asked = made.parse_args()
    machine = begin(asked)
    if asked.side:
        name, settings = asked.side
        print(json.dumps(SIDES[name](json.loads(settings))))
        return
    if asked.steps < 2:
        sys.exit("--steps: the first step is not counted, so two are the least")
    with tempfile.TemporaryDirectory() as folder:
        tell(compare(asked, Path(folder)), machine, asked.json)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
