"""Benchmarks: definitions, data, metrics, and evaluation of encoders."""
