"""The recipe's `[drift]`: thresholds of `--if-changed`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mirror.config_base import Section


class DriftSection(Section):
    """Drift thresholds; a run with `--if-changed` continues if one is reached.

    See `mirror.corpus.drift`.
    """

    new_strings: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Share of strings that the champion's corpus lacks."""
    divergence: Annotated[float, Field(ge=0, le=1)] = 0.01
    """Jensen-Shannon divergence of the word pieces, in bits."""
    unknown: Annotated[float, Field(ge=0, le=1)] = 0.005
    """Rise of the share of unknown word pieces."""
    pieces_per_word: Annotated[float, Field(ge=0)] = 0.05
    """Relative rise of the word pieces per word."""
    lengths: Annotated[float, Field(ge=0, le=1)] = 0.05
    """Kolmogorov-Smirnov distance of the strings' lengths."""
