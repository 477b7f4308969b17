"""Benchmark kinds: one module each, imported by `mirror.evaluation.benchmark.find_kind`."""
