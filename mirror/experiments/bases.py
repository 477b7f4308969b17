"""The paper's base models, wherever this machine has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from mirror.encoders.base_model import NOT_PARTS, PARTS, base_digest, check_base_for, find_base
from mirror.encoders.encoder_ref import EncoderRef
from mirror.errors import MirrorError, PaperError
from mirror.experiments.paper_formatting import without_folders
from mirror.paths import CHECKOUT
from mirror.recipe import BaseSection, Recipe

DEFAULT_STAND_IN = CHECKOUT / "models" / "mirror-mini-en"


@dataclass(frozen=True)
class BasePlaces:
    """Where bases are looked for, in this order, and what stands in for those that are missing."""

    named: Mapping[str, Path] = field(default_factory=dict)
    """Folders by hub id."""
    folder: Path | None = None
    """Holds `ORG/NAME`, `ORG--NAME` or `NAME` for each hub id."""
    download: bool = False
    """Whether what is in no folder and not in the hub's cache is fetched."""
    stand_ins: Mapping[str, Path] = field(default_factory=dict)
    """Another base by language, for the rows of that language."""


@dataclass(frozen=True)
class Found:
    """A base, or why there is none."""

    base: EncoderRef | None
    reason: str = ""


def read_named(pairs: tuple[str, ...], known: frozenset[str]) -> dict[str, Path]:
    """`HUB_ID=PATH` as the command line takes it; the id's owner may be left out.

    Args:
        pairs: what was given.
        known: the hub ids that the paper's recipes name.

    Raises:
        PaperError: there is no `=`, not one such id in the recipes, or no such folder.
    """
    named = {}
    for pair in pairs:
        hub, separator, path = pair.partition("=")
        if not separator:
            raise PaperError(f"--base {pair}: give it as HUB_ID=PATH")
        meant = [name for name in sorted(known) if hub in (name, _short(name))]
        if len(meant) != 1:
            listed = ", ".join(meant or sorted(known))
            raise PaperError(f"--base {pair}: the recipes' bases are {listed}: name one of them")
        if not Path(path).is_dir():
            raise PaperError(f"--base {pair}: there is no folder {path}: correct the path")
        named[meant[0]] = Path(path).absolute()
    return named


def read_stand_ins(given: tuple[str, ...], default: Path) -> dict[str, Path]:
    """`PATH` (for English) or `LANGUAGE=PATH`; the default is English alone.

    Raises:
        PaperError: there is no such folder.
    """
    stand_ins = {}
    for text in given or (str(default),):
        language, separator, path = text.partition("=")
        if not (separator and language.isalpha() and len(language) in (2, 3)):
            language, path = "en", text
        if not path:
            raise PaperError(f"--stand-in {text!r} names no folder: give one, or leave it out")
        if not Path(path).is_dir():
            raise PaperError(f"--stand-in {text}: there is no folder {path}: correct the path")
        stand_ins[language] = Path(path).absolute()
    return stand_ins


def paper_base(recipe: Recipe, places: BasePlaces) -> Found:
    """The base that a recipe names, or why it cannot be had."""
    section = recipe.base
    hub = section.hub
    try:
        if hub is None:
            if section.path is None:
                return Found(None, f"{recipe.name} starts from a registered model, not the paper's")
            return _checked(find_base(section, _no_registry), recipe)
        folder = _folder_of(hub, places) or _in_cache(section)
        if folder is not None:
            origin = f"{hub}@{section.revision}" if _is_pinned(folder, section) else hub
            return _checked(EncoderRef(str(folder), base_digest(folder), origin), recipe)
        if places.download:
            return _checked(find_base(section, _no_registry), recipe)
    except MirrorError as fault:
        return Found(None, without_folders(str(fault)))
    return Found(None, f"{hub} is not on this machine: --base {hub}=PATH, or --download")


def stand_in_base(recipe: Recipe, places: BasePlaces, languages: Sequence[str]) -> Found:
    """What stands in for a recipe's base, if it is there for all of some languages."""
    if missing := [language for language in languages if language not in places.stand_ins]:
        options = " ".join(f"--stand-in {language}=PATH" for language in missing)
        return Found(None, f"no stand-in for {' and '.join(missing)}: {options}")
    folders = {places.stand_ins[language] for language in languages}
    if len(folders) > 1:
        return Found(None, f"no one stand-in for {' and '.join(languages)}: give both the same")
    [folder] = folders
    try:
        return _checked(EncoderRef(str(folder), base_digest(folder), folder.name), recipe)
    except MirrorError as fault:
        return Found(None, without_folders(str(fault)))


def _checked(base: EncoderRef, recipe: Recipe) -> Found:
    check_base_for(recipe, Path(base.folder))
    return Found(base)


def _folder_of(hub: str, places: BasePlaces) -> Path | None:
    if hub in places.named:
        return places.named[hub]
    if places.folder is None:
        return None
    names = (hub, hub.replace("/", "--"), _short(hub))
    return next((places.folder / name for name in names if (places.folder / name).is_dir()), None)


def _short(hub: str) -> str:
    """A hub id without its owner, as old models are called."""
    return hub.rpartition("/")[2]


def _in_cache(section: BaseSection) -> Path | None:
    """The pinned snapshot in the hub's cache; the network is not asked."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # A commit is the same under the old name without an owner, which many caches have.
    for hub in dict.fromkeys((str(section.hub), _short(str(section.hub)))):
        with suppress(LocalEntryNotFoundError, HFValidationError):
            return Path(
                snapshot_download(
                    hub,
                    revision=section.revision,
                    allow_patterns=list(PARTS),
                    ignore_patterns=list(NOT_PARTS),
                    local_files_only=True,
                )
            )
    return None


def _is_pinned(folder: Path, section: BaseSection) -> bool:
    """Whether it is the hub's snapshot of the recipe's revision, whose folder is named by it."""
    return folder.name == section.revision


def _no_registry(uri: str) -> Path:
    raise PaperError(f"{uri}: the paper's recipes start from no registered model")
