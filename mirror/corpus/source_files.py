"""The files that a recipe's text and pairs came from: where they are and how long."""

from __future__ import annotations

from collections.abc import Mapping

from mirror.corpus.input_files import find_places
from mirror.errors import CorpusError, ServiceError
from mirror.recipe import Recipe

SourceFiles = Mapping[str, Mapping[str, int | str]]
"""By the name that a stage's inputs have for a file, its `path` and `bytes`."""


def list_source_files(recipe: Recipe) -> dict[str, SourceFiles]:
    """The files of the stages `corpus` and `pairs`, as far as they are files and still there."""
    found: dict[str, SourceFiles] = {}
    if recipe.corpus.source == "files":
        found["corpus"] = _files(recipe.corpus.paths, recipe.corpus.format)
    if recipe.pairs is not None:
        found["pairs"] = _files(recipe.pairs.paths, "auto")
    return found


def _files(paths: tuple[str, ...], format_name: str) -> SourceFiles:
    try:
        places = find_places(paths, format_name)
        return {
            f"{number:06} {place.name}": {
                "path": place.path,
                "bytes": int(place.files.get_file_info(place.path).size or 0),
            }
            for number, place in enumerate(places)
        }
    except (CorpusError, ServiceError, OSError):
        return {}  # gone since they were read: their digests are in the stage's inputs
