"""Consoles of the command line: results on standard output, everything else on standard error."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def stdout_console() -> Console:
    """Return the console for results, which can be piped."""
    from rich.console import Console

    return Console()


def stderr_console() -> Console:
    """Return the console for progress and messages."""
    from rich.console import Console

    return Console(stderr=True)


def echo(text: str, *, err: bool = False) -> None:
    """Print text unchanged: no markup, no colours, no wrapping.

    Args:
        text: one line, or several.
        err: print to standard error, as for messages that are not results.
    """
    console = stderr_console() if err else stdout_console()
    console.print(text, markup=False, highlight=False, soft_wrap=True)
