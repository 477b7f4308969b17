"""Files named by a recipe: paths, folders, globs and URIs, local or on object storage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pyarrow import fs

from mirror.corpus_config import FileFacts
from mirror.errors import CorpusError, ServiceError
from mirror.hashing import digest_of_json, file_digest
from mirror.paths import local_path

FORMATS = {
    ".txt": "text",
    ".text": "text",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_URI = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class InputFile:
    """One file to read."""

    files: fs.FileSystem
    path: str
    """On its file system."""
    name: str
    """What it is called in the corpus: relative to the folder that the recipe names."""
    format: str
    compression: str | None

    @property
    def is_local(self) -> bool:
        """Whether it is on this machine's own file system."""
        return isinstance(self.files, fs.LocalFileSystem)


def find_places(
    paths: tuple[str, ...], format_name: str = "auto", download_instructions: str = ""
) -> list[InputFile]:
    """All files that the paths name, in the order of the paths and then of their names, each once.

    Local paths are relative to the checkout, else to the working folder.  In folders and globs,
    hidden files and those of other endings than `format_name` reads are passed over.
    `download_instructions` is the remedy in the error about a missing path.

    Raises:
        CorpusError: a path names nothing, or a file whose format its ending does not tell.
        ServiceError: an object store does not answer.
    """
    places: dict[tuple[str, str], InputFile] = {}
    for path in paths:
        found = list(_find(path, format_name))
        if not found:
            if download_instructions:
                raise CorpusError(
                    f"no text at {path} (corpus.paths): {' '.join(download_instructions.split())}"
                )
            endings = " ".join(FORMATS)
            raise CorpusError(
                f"no text at {path} (corpus.paths): name a file, or a folder or glob with files "
                f"that end in {endings}, plain or with {' or '.join(COMPRESSIONS)} after it; for "
                "others set corpus.format"
            )
        for place in found:
            places.setdefault((place.files.type_name, place.path), place)
    return list(places.values())


def place_digests(places: list[InputFile]) -> dict[str, str]:
    """A digest per file, by number and name: of its bytes, or what its store says of it."""
    return {f"{number:06} {place.name}": _digest(place) for number, place in enumerate(places)}


def file_facts(places: list[InputFile]) -> list[FileFacts]:
    """Return name, path and size per file; the names are those of `place_digests`."""
    facts: list[FileFacts] = []
    for number, place in enumerate(places):
        try:
            size = int(place.files.get_file_info(place.path).size or 0)
        except OSError as error:
            raise _unreachable(place.path, error) from error
        facts.append({"name": f"{number:06} {place.name}", "path": place.path, "bytes": size})
    return facts


def _digest(place: InputFile) -> str:
    try:
        if place.is_local:
            return file_digest(Path(place.path))
        info = place.files.get_file_info(place.path)
    except OSError as error:
        raise _unreachable(place.path, error) from error
    return digest_of_json([place.path, info.size, info.mtime_ns])


def _find(path: str, format_name: str) -> Iterator[InputFile]:
    _check_pattern(path)
    if _URI.match(path):
        yield from _find_remote(path, format_name)
        return
    start = local_path(path, _names_something)
    if start.is_file():
        yield _place(fs.LocalFileSystem(), str(start), start.name, format_name)
    elif start.is_dir():
        names = [str(inner.relative_to(start)) for inner in start.rglob("*") if inner.is_file()]
        yield from _several(fs.LocalFileSystem(), str(start), names, format_name)
    elif _MAGIC.search(path):
        base, pattern = _split_pattern(str(start))
        found = [inner for inner in Path(base).glob(pattern) if inner.is_file()]
        names = [str(inner.relative_to(base)) for inner in found]
        yield from _several(fs.LocalFileSystem(), base, names, format_name)


def _names_something(path: Path) -> bool:
    base, pattern = _split_pattern(str(path))
    return path.exists() or (pattern != "" and any(Path(base).glob(pattern)))


def _find_remote(uri: str, format_name: str) -> Iterator[InputFile]:
    base, pattern = _split_pattern(uri)
    try:
        files, root = fs.FileSystem.from_uri(base if pattern else uri)
        info = files.get_file_info(root)
        if info.type == fs.FileType.File:
            yield _place(files, root, PurePosixPath(root).name, format_name)
        elif info.type == fs.FileType.Directory:
            parts = PurePosixPath(pattern).parts
            inner = files.get_file_info(fs.FileSelector(root, recursive=len(parts) != 1))
            names = [
                str(PurePosixPath(found.path).relative_to(root))
                for found in inner
                if found.type == fs.FileType.File
            ]
            wanted = [name for name in names if not parts or _fits(name.split("/"), parts)]
            yield from _several(files, root, wanted, format_name)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"a name in {uri} (corpus.paths) is not in UTF-8: rename the file or folder ({error})"
        ) from error
    except (ValueError, NotImplementedError) as error:
        raise CorpusError(
            f"{uri} (corpus.paths) is no address that can be read ({error}): "
            "use s3://, gs://, hdfs:// or file://"
        ) from error
    except OSError as error:
        raise _unreachable(uri, error) from error


def _check_pattern(path: str) -> None:
    for part in path.split("/"):
        if "**" in part and part != "**":
            one = re.sub(r"\*+", "*", part)
            raise CorpusError(
                f"{path} (corpus.paths) is no glob: `**` stands for folders and must be alone "
                f"between slashes; write {one} for files of one folder, **/{one} for those below"
            )


def _split_pattern(path: str) -> tuple[str, str]:
    """A path before its first part with a wildcard, and the rest; no rest if there is none."""
    if not (match := _MAGIC.search(path)):
        return path, ""
    cut = path.rfind("/", 0, match.start())
    rest = PurePosixPath(path[cut + 1 :])
    pattern = str(rest / "*" if rest.name == "**" else rest)
    return path[: max(cut, 0)] or ("/" if path.startswith("/") else "."), pattern


def _fits(name: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether a name fits a glob, part by part, as `Path.glob` has it for files of this machine."""
    if not pattern:
        return not name
    first, *rest = pattern
    if first == "**":
        return any(_fits(name[below:], rest) for below in range(len(name)))
    return bool(name) and fnmatchcase(name[0], first) and _fits(name[1:], rest)


def _several(
    files: fs.FileSystem, base: str, names: list[str], format_name: str
) -> Iterator[InputFile]:
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        hidden = any(part.startswith((".", "_")) for part in parts)
        if not hidden and (format_name != "auto" or _format(name)):
            yield _place(files, f"{base.rstrip('/')}/{name}", name, format_name)


def _place(files: fs.FileSystem, path: str, name: str, format_name: str) -> InputFile:
    kind = _format(name) if format_name == "auto" else format_name
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise CorpusError(
            f"the name of {shown} (corpus.paths) is not in UTF-8: rename the file or its folder"
        ) from error
    if not kind:
        raise CorpusError(
            f"the ending of {path} does not tell its format: set corpus.format to "
            "text, jsonl, csv, tsv or parquet"
        )
    return InputFile(files, path, name, kind, COMPRESSIONS.get(PurePosixPath(name).suffix.lower()))


def _format(name: str) -> str:
    path = PurePosixPath(name.lower())
    if path.suffix in COMPRESSIONS:
        path = path.with_suffix("")
    return FORMATS.get(path.suffix, "")


def _unreachable(place: str, error: OSError) -> CorpusError | ServiceError:
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return CorpusError(f"{place} (corpus.paths) cannot be read: {error.strerror or error}")
    return ServiceError(
        f"{place} (corpus.paths) cannot be reached: {error}; check the address, the network and "
        "the credentials in the environment, and run again"
    )
