"""Table of known bases, `bases.toml`, and the choice of one for a language and a machine."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from mirror.config_base import Level, Positive, Section, read_section
from mirror.errors import BaseModelError
from mirror.paths import CHECKOUT, local_path

TABLE = CHECKOUT / "bases.toml"
PROCESSOR_MEGABYTES, GPU_MEGABYTES = 800, 4_000
"""Largest weights that are chosen for a machine."""
_HUB = re.compile(r"(?P<hub>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{40})")


class KnownBase(Section):
    """A base of the table."""

    hub: str | None = None
    revision: str | None = None
    path: str | None = None
    """Of a base in the checkout."""
    kind: Literal["encoder", "masked-lm"]
    languages: tuple[str, ...]
    licence: str
    megabytes: Positive
    score: float | None = None
    """MRR@10 of titles of English docstrings, without tuning; None if it was not measured."""

    @property
    def name(self) -> str:
        """Return the id or path, as `--base` takes it."""
        return str(self.hub or self.path)

    @property
    def settings(self) -> dict[str, str]:
        """Return the recipe's `[base]`."""
        return (
            {"hub": self.name, "revision": str(self.revision)}
            if self.hub
            else ({"path": self.name})
        )

    def describe(self, language: str) -> str:
        """Return the size, the licence, and the score where it says something."""
        scored = f", titles {self.score:.3f} untuned" if self.score and language == "en" else ""
        return f"{self.kind}, {self.megabytes} MB, {self.licence}{scored}"


class BaseTable(Section):
    """The file."""

    name: str
    base: tuple[KnownBase, ...]


def known_bases(table: Path = TABLE) -> tuple[KnownBase, ...]:
    """Return the bases of the table.

    Raises:
        BaseModelError: the table has faults.
    """
    return read_section(table, BaseTable, BaseModelError).base


def choose_known_base(language: str, level: Level, *, has_gpu: bool) -> KnownBase:
    """Return the base to start from.

    For sentences an encoder if there is one, else a masked language model, and for words and names
    a masked language model: that of the fewest languages first.  On a processor a small encoder
    is preferred, on a GPU a large one.

    Raises:
        BaseModelError: none knows the language.
    """
    most = GPU_MEGABYTES if has_gpu else PROCESSOR_MEGABYTES
    kind = "encoder" if level == "sentence" else "masked-lm"
    fitting = [
        base for base in known_bases() if language in base.languages and base.megabytes <= most
    ]
    if not fitting:
        raise BaseModelError(
            f"no base of {TABLE.name} knows {language!r}: name one with --base FOLDER or "
            "--base ORG/NAME@COMMIT, or pretrain one (docs/pretraining.md)"
        )

    def rank(base: KnownBase) -> tuple[bool, int, int]:
        size = base.megabytes if level == "sentence" and not has_gpu else -base.megabytes
        return (base.kind != kind, len(base.languages), size)

    return min(fitting, key=rank)


def base_settings_of(name: str) -> dict[str, Any]:
    """Return the `[base]` of what a user names: a folder, a base of the table, a commit, a model.

    Raises:
        BaseModelError: it is none of these.
    """
    if name.startswith("models:/"):
        return {"registry": name}
    known = {base.name: base for base in known_bases()}
    if name in known:
        return known[name].settings
    if local_path(name, Path.is_dir).is_dir():
        folder = Path(name)
        return {"path": name if (CHECKOUT / folder).is_dir() else str(folder.absolute())}
    if match := _HUB.fullmatch(name):
        return match.groupdict()
    raise BaseModelError(
        f"no base {name!r}: --base takes a folder, ORG/NAME@COMMIT with the commit's 40 digits, "
        f"models:/NAME@champion, or one of {', '.join(known)}"
    )
