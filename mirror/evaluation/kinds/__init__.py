"""Benchmark kinds: what is measured, and how."""
