"""Benchmarks, and what an encoder comes to on them."""
