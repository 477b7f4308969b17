"""HTML pages written by the option `--out`."""

from __future__ import annotations

from pathlib import Path

from mirror.errors import InputError


def check_page_path(out: str | None) -> Path | None:
    """Return the path given as `--out`, or None.

    Raises:
        InputError: it does not end in .html, or its folder does not exist.
    """
    if out is None:
        return None
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--out {out}: a page is written, so give a name that ends in .html")
    if not path.absolute().parent.is_dir():
        raise InputError(f"--out {out}: no folder {path.absolute().parent}: make it first")
    return path


def write_page(path: Path, page: str) -> None:
    """Write a page.

    Raises:
        InputError: it cannot be written.
    """
    from mirror.atomic_write import atomic_file

    try:
        with atomic_file(path) as part:
            part.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {path}: {error.strerror}: name another file") from error
