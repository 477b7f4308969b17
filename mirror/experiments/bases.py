"""Base models of the paper on this machine, and stand-ins for those that are missing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mirror.encoders.base_model import (
    base_digest,
    cached_base,
    find_base,
)
from mirror.encoders.base_settings import check_base_for
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import StudyError
from mirror.recipe import Recipe

_FOLDERS = re.compile(r"(?<![\w:/.])(?:/[^\s/:,;]+)+/(?=[^\s/:,;]*)")


@dataclass(frozen=True)
class BaseFolders:
    """Where bases are searched, in this order, and stand-ins for missing ones."""

    named: Mapping[str, Path] = field(default_factory=dict)
    """Folders by hub id."""
    folder: Path | None = None
    """Contains `ORG/NAME`, `ORG--NAME` or `NAME` for each hub id."""
    download: bool = False
    """Whether a base that is in no folder and not in the hub's cache is downloaded."""
    stand_ins: Mapping[str, Path] = field(default_factory=dict)
    """Another base by language, for the rows of that language."""


def without_folders(text: str) -> str:
    """Return an error message in one line, with file names but without this machine's folders."""
    return _FOLDERS.sub("", " ".join(text.split()))


def read_named(pairs: Sequence[str], known: frozenset[str]) -> dict[str, Path]:
    """Parse `HUB_ID=PATH` options; the id's owner may be left out.

    Args:
        pairs: the options.
        known: hub ids of the paper's recipes.

    Raises:
        StudyError: there is no `=`, no such id or more than one, or no such folder.
    """
    named = {}
    for pair in pairs:
        hub, separator, path = pair.partition("=")
        if not separator:
            raise StudyError(f"--base {pair}: give it as HUB_ID=PATH")
        matches = [name for name in sorted(known) if hub in (name, _short(name))]
        if len(matches) != 1:
            listed = ", ".join(matches or sorted(known))
            raise StudyError(f"--base {pair}: the recipes' bases are {listed}: name one of them")
        if not Path(path).is_dir():
            raise StudyError(f"--base {pair}: there is no folder {path}: correct the path")
        named[matches[0]] = Path(path).absolute()
    return named


def read_stand_ins(options: Sequence[str], default: Path) -> dict[str, Path]:
    """Parse `PATH` (for English) and `LANGUAGE=PATH` options; the default is English only.

    Raises:
        StudyError: there is no such folder.
    """
    stand_ins = {}
    for text in options or (str(default),):
        language, separator, path = text.partition("=")
        if not (separator and language.isalpha() and len(language) in (2, 3)):
            language, path = "en", text
        if not path:
            raise StudyError(f"--stand-in {text!r} names no folder: give one, or leave it out")
        if not Path(path).is_dir():
            raise StudyError(f"--stand-in {text}: there is no folder {path}: correct the path")
        stand_ins[language] = Path(path).absolute()
    return stand_ins


def paper_base(recipe: Recipe, folders: BaseFolders) -> EncoderRef:
    """Return the base that a recipe of the paper names.

    Raises:
        StudyError: it is not on this machine.
        BaseModelError, TokenizerError: it is damaged or cannot be tuned.
        ServiceError: the hub did not answer.
    """
    section = recipe.base
    hub = section.hub
    if hub is None and section.path is None:
        raise StudyError(f"{recipe.name} starts from a registered model, not from the paper's base")
    folder = None if hub is None else _folder_of(hub, folders) or cached_base(section)
    if hub is not None and folder is not None:
        # The hub names a snapshot's folder by its revision.
        origin = f"{hub}@{section.revision}" if folder.name == section.revision else hub
        return _checked(EncoderRef(str(folder), base_digest(folder), origin), recipe)
    if hub is None or folders.download:
        return _checked(find_base(section, _no_registry), recipe)
    raise StudyError(f"{hub} is not on this machine: --base {hub}=PATH, or --download")


def stand_in_base(recipe: Recipe, folders: BaseFolders, languages: Sequence[str]) -> EncoderRef:
    """Return the stand-in for a recipe's base, if one base serves all of `languages`.

    Raises:
        StudyError: there is none.
        BaseModelError, TokenizerError: it is damaged or cannot be tuned.
    """
    if missing := [language for language in languages if language not in folders.stand_ins]:
        options = " ".join(f"--stand-in {language}=PATH" for language in missing)
        raise StudyError(f"no stand-in for {' and '.join(missing)}: {options}")
    candidates = {folders.stand_ins[language] for language in languages}
    if len(candidates) > 1:
        raise StudyError(f"no one stand-in for {' and '.join(languages)}: give both the same")
    [folder] = candidates
    return _checked(EncoderRef(str(folder), base_digest(folder), folder.name), recipe)


def _checked(base: EncoderRef, recipe: Recipe) -> EncoderRef:
    check_base_for(recipe, Path(base.folder))
    return base


def _folder_of(hub: str, folders: BaseFolders) -> Path | None:
    if hub in folders.named:
        return folders.named[hub]
    if folders.folder is None:
        return None
    paths = (folders.folder / name for name in (hub, hub.replace("/", "--"), _short(hub)))
    return next((path for path in paths if path.is_dir()), None)


def _short(hub: str) -> str:
    """Return a hub id without its owner, as in old model names."""
    return hub.rpartition("/")[2]


def _no_registry(uri: str) -> Path:
    raise StudyError(f"{uri}: the paper's recipes start from no registered model")
