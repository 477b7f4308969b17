"""Formatting of scores and changes."""

from __future__ import annotations


def score(value: float) -> str:
    """Return a score from 0 to 1 as text, such as `.742`."""
    return _drop_zero(f"{value:.3f}")


def signed(value: float) -> str:
    """Return a change of a score as text, such as `+.031`."""
    return _drop_zero(f"{value:+.3f}").replace("-", "\N{MINUS SIGN}")


def number(value: float) -> str:
    """Return three decimals without the leading zero (`.742`), or two from 1 on (`13.79`)."""
    text = f"{value:.2f}" if abs(value) >= 1 else _drop_zero(f"{value:.3f}")
    return text.replace("-", "\N{MINUS SIGN}")


def _drop_zero(number: str) -> str:
    """Return a number without the zero before its decimal point."""
    return number.replace("0.", ".", 1) if number.lstrip("+-").startswith("0.") else number
