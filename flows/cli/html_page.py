"""HTML pages written by the option `--out`."""

from __future__ import annotations

from pathlib import Path

from mirror.errors import InputError
from mirror.paths import check_output


def check_page_path(out: str | None) -> Path | None:
    """Return the path given as `--out`, or None; raise InputError if no page can be put there."""
    path = Path(out) if out is not None else None
    if path:
        check_output(path.with_suffix(path.suffix.lower()), (".html", ".htm"))
    return path


def write_page(path: Path, page: str) -> None:
    """Write a page; raise InputError if that fails."""
    from mirror.atomic_write import atomic_file

    try:
        with atomic_file(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror}: name another file") from error
