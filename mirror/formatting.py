"""Formatting of scores and changes."""

from __future__ import annotations


def score(value: float) -> str:
    """A score of 0 to 1: `.742`."""
    return _drop_zero(f"{value:.3f}")


def signed(value: float) -> str:
    """A change of a score: `+.031`."""
    return _drop_zero(f"{value:+.3f}").replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """Return three decimals without the leading zero (`.742`), or two from 1 on (`13.79`)."""
    text = f"{value:.2f}" if abs(value) >= 1 else _drop_zero(f"{value:.3f}")
    return text.replace("-", "\N{MINUS SIGN}")


def _drop_zero(number: str) -> str:
    """Without the zero before the point."""
    return number.replace("0.", ".", 1) if number.lstrip("+-").startswith("0.") else number
