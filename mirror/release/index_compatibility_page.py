"""The page that tells consumers whether their index still serves."""

from __future__ import annotations

from mirror.release.index_compatibility import CONFIDENCE, KEEP, NEAREST, ROTATE, Compatibility
from mirror.rendering import fill_template

COMPATIBILITY_TEMPLATE = "compatibility.html.j2"


def render_compatibility(old: str, new: str, found: Compatibility) -> str:
    """The page, as HTML that needs nothing else; `old` and `new` are the encoders' names."""
    return fill_template(
        COMPATIBILITY_TEMPLATE,
        {
            "old": old,
            "new": new,
            "found": found,
            "nearest": NEAREST,
            "thresholds": {"keep": f"{KEEP:.0%}", "rotate": f"{ROTATE:.0%}"},
            "interval": f"{CONFIDENCE:.0%}",
        },
    )
