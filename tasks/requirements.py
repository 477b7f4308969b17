"""What a consumer of a registered encoder must install."""

from __future__ import annotations

from importlib.metadata import version

DISTRIBUTIONS = (
    "mlflow",
    "sentence-transformers",
    "transformers",
    "torch",
    "tokenizers",
    "safetensors",
    "numpy",
)


def pinned_requirements() -> list[str]:
    """Requirements at the versions that made the encoder.

    A local version such as torch's `+cpu` is left out: no index has it.
    """
    return [f"{name}=={version(name).partition('+')[0]}" for name in DISTRIBUTIONS]
