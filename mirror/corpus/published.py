"""Training lists that somebody publishes, such as the paper's: found by checksum, or fetched."""

from __future__ import annotations

from pathlib import Path

from mirror.corpus.input_files import InputFile, find_places
from mirror.data_files import DataFile, data_roots, fetched_root
from mirror.download import download_file, is_declared
from mirror.errors import CorpusError
from mirror.recipe import CorpusSection, Recipe

KIND = "corpora"
LISTS_ENV = "MIRROR_CORPORA"


def obtain_lists(recipe: Recipe) -> list[InputFile]:
    """The recipe's published files in their order; those not at hand are fetched first.

    A file of another content than was declared counts as missing.

    Raises:
        CorpusError: a file is not there and nowhere to be fetched from, or what came is another.
        ServiceError: a publisher does not answer.
        StoreError: a file that was fetched cannot be written.
    """
    found = []
    for file in recipe.corpus.files:
        path = _find(file) or _fetch(file, recipe)
        found.extend(find_places((str(path),), recipe.corpus.format))
    return found


def list_digests(section: CorpusSection) -> dict[str, str]:
    """What the files hold, by number and name; as declared, so that none need be there."""
    return {f"{number:06} {file.path}": file.sha256 for number, file in enumerate(section.files)}


def _find(file: DataFile) -> Path | None:
    places = (root / file.path for root in data_roots(KIND, LISTS_ENV))
    return next((place.absolute() for place in places if is_declared(place, file)), None)


def _fetch(file: DataFile, recipe: Recipe) -> Path:
    owner = f"recipe {recipe.name}"
    if file.url is not None:
        return download_file(file, file.url, fetched_root(KIND), owner, CorpusError)
    looked = ", ".join(str(root) for root in data_roots(KIND, LISTS_ENV))
    remedy = " ".join(recipe.corpus.download_instructions.split()) or "put it into one of them"
    raise CorpusError(
        f"{owner}: no {file.path} with SHA-256 {file.sha256[:12]}… in {looked}, and no `url` to "
        f"fetch it from: {remedy}; {LISTS_ENV} may name another folder to look in"
    )
