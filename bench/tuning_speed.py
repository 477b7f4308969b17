"""Speed and memory of tuning, compared with the published method and sentence-transformers.

    python -m bench.tuning_speed --rounds 5
    python -m bench.tuning_speed --layers 12 --width 768 --steps 3

All sides have the same strings, base, batch size, learning rate, temperature and maximum length.

The share of the best is the arithmetic that the strings' tokens need, divided by the fastest matrix
product of the same round on the same threads. A weight and token need 6 operations, and attention
needs its own; padding is not counted. With CLS pooling, the last layer uses all tokens but the
first for keys and values only.

The losses of our method and the published one are compared over five steps in which nothing is
random: same strings in the same order, without dropout and masks.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench.measuring import (
    Findings,
    Row,
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
from bench.strings import random_base, read_texts, write_texts
from bench.tuning_arithmetic import work_per_string
from bench.tuning_sides import COMMON, EQUAL_STEPS, SIDES

LARGEST_DIFFERENCE = 1e-3
"""Of the losses of our method and the published one, where nothing is random."""
METHODS = {
    "official": "the published method, fp32",
    "official, autocast": "the published method, autocast",
    "trainer": "sentence-transformers' trainer",
    "ours": "ours",
}
"""Names of the sides that tune."""


def compare(arguments: argparse.Namespace, folder: Path) -> Findings:
    """Run all sides and return the findings."""
    base = arguments.base.absolute()
    if arguments.layers:
        base = random_base(base, arguments.layers, arguments.width, folder / "base")
    count = arguments.steps * arguments.batch_size
    texts = read_texts(arguments.texts, count, arguments.workspace)
    common = {name: getattr(arguments, name) for name in (*COMMON, "precision")}
    common |= {"base": str(base), "texts": write_texts(texts, folder), "autocast": False}
    common |= {"device": device(arguments.device), "extra": json.loads(arguments.extra)}

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
        arguments.rounds,
    )
    results |= take_turns({"losses": side("losses")}, 1)
    work = work_per_string(base, texts, arguments.max_tokens, arguments.pooling)
    return sum_up(arguments, results, work)


def sum_up(
    arguments: argparse.Namespace,
    results: dict[str, list[dict[str, Any]]],
    work: tuple[float, float],
) -> Findings:
    """Return the rows, with ratios and goals."""
    size = size_label(arguments)
    peaks = [max(result["fp32"], result["bf16"]) for result in results["peak"]]
    speed = {side: each(results[side], "strings_per_second") for side in METHODS}
    memory = {side: each(results[side], "peak_mb") for side in METHODS}
    rows = [Row(f"{name}, {size}", "strings/s", speed[side]) for side, name in METHODS.items()]
    goals = {"official": 8.0, "official, autocast": None, "trainer": 3.0}
    for side, goal in goals.items():
        title = f"ours / {METHODS[side]}"
        rows.append(Row(title, "times", ratios(speed["ours"], speed[side]), goal))
    rows += [Row(f"peak memory, {name}", "MB", memory[side]) for side, name in METHODS.items()]
    title = "peak memory, sentence-transformers' / ours"
    rows.append(Row(title, "times", ratios(memory["trainer"], memory["ours"]), 2.0))
    for kind in ("fp32", "bf16"):
        rows.append(Row(f"fastest matrix product, {kind}", "GFLOP/s", each(results["peak"], kind)))
    for side, name in METHODS.items():
        shares = [100 * work[0] / 1e9 * part for part in ratios(speed[side], peaks)]
        is_large = arguments.width >= 768 and arguments.layers >= 12
        goal = 50.0 if side == "ours" and is_large else None
        rows.append(Row(f"share of the best, {name}", "%", shares, goal))
    differences = each(results["losses"], "largest_difference")
    title = f"largest difference of our losses from the published, {EQUAL_STEPS} equal steps"
    rows.append(Row(title, "", differences, at_most=LARGEST_DIFFERENCE))
    settings = {
        "strings": arguments.steps * arguments.batch_size,
        "tokens a string (both views)": round(work[1], 1),
        "batch": arguments.batch_size,
        "pooling": arguments.pooling,
        "precision": arguments.precision,
    }
    return Findings(f"Tuning, {size}", settings, rows)


def device(name: str) -> str:
    """Return `cuda` for `auto` if there is a GPU."""
    from mirror.encoders.model_loading import resolve_device

    return resolve_device(name)


def main() -> None:
    """Print the findings as a table or as JSON."""
    parser = make_parser(str(__doc__))
    add_base_and_texts(parser)
    add_tuning(
        parser, steps=20, batch_size=200, max_tokens=50, learning_rate=2e-5, temperature=0.04
    )
    parser.add_argument("--mask-length", type=int, default=5)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--weight-decay", type=float, default=0.01)
    arguments = parser.parse_args()
    machine = begin(arguments)
    if run_if_side(arguments, SIDES):
        return
    if arguments.steps < 2:
        sys.exit("--steps: at least 2, because the first step is not measured")
    if arguments.steps * arguments.batch_size < 2 * EQUAL_STEPS:
        sys.exit(f"--steps, --batch-size: at least {2 * EQUAL_STEPS} strings are needed")
    with tempfile.TemporaryDirectory() as folder:
        print_findings(compare(arguments, Path(folder)), machine, arguments.json)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
