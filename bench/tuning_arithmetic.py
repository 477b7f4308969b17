"""Arithmetic that tuning needs, and the fastest matrix product of a machine."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.measuring import Settings

PEAK_SHAPES = ((4_096, 768, 3_072), (4_096, 1_024, 1_024), (2_048, 2_048, 2_048))
PEAK_SECONDS = 0.4


def peak(settings: Settings) -> dict[str, Any]:
    """Return the rate of the fastest matrix product here, in 10^9 operations a second."""
    import torch

    from mirror.hardware import thread_count

    torch.set_num_threads(thread_count())
    device = torch.device(settings["device"])
    rates = {}
    for name, kind in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        rates[name] = max(_matmul_rate(shape, kind, device) for shape in PEAK_SHAPES)
    return rates


def _matmul_rate(shape: tuple[int, int, int], kind: Any, device: Any) -> float:
    import torch

    rows, inner, columns = shape
    first = torch.randn(rows, inner, device=device).to(kind)
    second = torch.randn(columns, inner, device=device).to(kind).T
    best, end = float("inf"), time.perf_counter() + PEAK_SECONDS
    while time.perf_counter() < end:
        began = time.perf_counter()
        first @ second
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * rows * inner * columns / best / 1e9


def work_per_string(
    base: Path, texts: Sequence[str], max_tokens: int, pooling: str
) -> tuple[float, float]:
    """Return the arithmetic operations and tokens of a string in training, for both views."""
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
        if pooling == "cls":  # keys and values of all tokens, the rest of the first
            weights += 2 * width * width * length + 2 * width * width + 2 * width * wide
            attended += length
        work += 6 * weights + 12 * width * attended
    return 2 * work / len(texts), 2 * sum(lengths) / len(texts)
