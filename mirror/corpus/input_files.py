"""Input files of a recipe: paths, folders, globs and URIs, local or on object storage."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from pyarrow import fs

from mirror.corpus.file_formats import COMPRESSIONS, format_by_ending, known_formats
from mirror.corpus.file_kinds import (
    HEAD,
    describe_formats,
    describe_kind,
    describe_left_out,
    kind_by_bytes,
    kind_by_name,
)
from mirror.corpus_config import FileFacts
from mirror.errors import CorpusError, ServiceError
from mirror.hashing import digest_of_json, file_digest
from mirror.paths import local_path

URI = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_MAGIC = re.compile(r"[*?\[]")


@dataclass(frozen=True)
class InputFile:
    """A file to read."""

    filesystem: fs.FileSystem
    path: str
    """Path on its file system."""
    name: str
    """Name in the corpus: the path relative to the folder that the recipe names."""
    format: str
    compression: str | None

    @property
    def is_local(self) -> bool:
        """Whether the file is on this machine's file system."""
        return isinstance(self.filesystem, fs.LocalFileSystem)


@dataclass(frozen=True)
class FoundFiles:
    """What a recipe's paths name."""

    files: tuple[InputFile, ...]
    """Each once, in the order of the paths, then of the names."""
    left_out: tuple[str, ...]
    """Names of the files of folders and globs whose format is unknown, likewise."""


def search_files(
    paths: tuple[str, ...], format_name: str = "auto", download_instructions: str = ""
) -> FoundFiles:
    """Return each file that the paths name once, in the order of the paths, then of the names.

    Local paths are relative to the checkout, else to the working folder.  In folders and globs,
    hidden files are skipped, and files whose format is unknown and broken links are left out.
    `download_instructions` is the remedy in the error about a missing path.

    Raises:
        CorpusError: a path does not exist, or the format of a file cannot be known by its ending.
        ServiceError: an object store does not answer.
    """
    files: dict[tuple[str, str], InputFile] = {}
    left_out: dict[str, None] = {}
    for path in paths:
        found = list(_find(path, format_name))
        unknown = [each for each in found if isinstance(each, str)]
        matches = [each for each in found if isinstance(each, InputFile)]
        if not matches:
            raise CorpusError(_nothing_found(path, unknown, download_instructions))
        left_out.update(dict.fromkeys(unknown))
        for file in matches:
            files.setdefault((file.filesystem.type_name, file.path), file)
    return FoundFiles(tuple(files.values()), tuple(left_out))


def _nothing_found(path: str, unknown: list[str], download_instructions: str) -> str:
    if download_instructions:
        return f"no text at {path} (corpus.paths): {' '.join(download_instructions.split())}"
    if unknown:
        kinds = {kind_by_name(name) for name in unknown}
        only = kinds.pop() if len(kinds) == 1 else None
        remedy = f", {only.name}, so {only.remedy}" if only else ""
        left_out = f"{describe_left_out(unknown)}{remedy}"
        return f"no text at {path} (corpus.paths): {left_out}; {describe_formats()}"
    if local_path(path).is_dir():
        return f"no text at {path} (corpus.paths): the folder has no files, so name another"
    return (
        f"no text at {path} (corpus.paths): name a file, or a folder or glob with files; "
        f"{describe_formats()}; for other endings set corpus.format"
    )


def input_digests(files: list[InputFile]) -> dict[str, str]:
    """Return a digest per file: of its bytes, or of its path, size and time on an object store."""
    return {f"{number:06} {file.name}": _digest(file) for number, file in enumerate(files)}


def file_facts(files: list[InputFile]) -> list[FileFacts]:
    """Return name, path and size per file; the names are those of `input_digests`."""
    facts: list[FileFacts] = []
    for number, file in enumerate(files):
        try:
            size = int(file.filesystem.get_file_info(file.path).size or 0)
        except OSError as error:
            raise _unreachable(file.path, error) from error
        facts.append({"name": f"{number:06} {file.name}", "path": file.path, "bytes": size})
    return facts


def _digest(file: InputFile) -> str:
    try:
        if file.is_local:
            return file_digest(Path(file.path))
        info = file.filesystem.get_file_info(file.path)
    except OSError as error:
        raise _unreachable(file.path, error) from error
    return digest_of_json([file.path, info.size, info.mtime_ns])


def _find(path: str, format_name: str) -> Iterator[InputFile | str]:
    """Yield files, and names of those whose format is unknown."""
    _check_pattern(path)
    if URI.match(path):
        yield from _find_remote(path, format_name)
        return
    start = local_path(path, _exists)
    if start.is_file():
        yield _input_file(fs.LocalFileSystem(), str(start), start.name, format_name)
    elif start.is_dir():
        yield from _select_files(fs.LocalFileSystem(), str(start), _names(start), format_name)
    elif _MAGIC.search(path):
        base, pattern = _split_pattern(str(start))
        parts = PurePosixPath(pattern).parts
        if "**" in parts:
            names = [name for name in _names(Path(base)) if _matches(name.split("/"), parts)]
        else:
            found = (inner for inner in Path(base).glob(pattern) if not inner.is_dir())
            names = [str(inner.relative_to(base)) for inner in found]
        yield from _select_files(fs.LocalFileSystem(), base, names, format_name)


def _names(folder: Path) -> list[str]:
    """Return the names of the files below a folder, those in linked folders included, each once."""
    names: list[str] = []
    read: set[str] = set()

    def fail(error: OSError) -> None:
        raise _unreachable(str(error.filename), error) from error

    for root, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        is_new = os.path.realpath(root) not in read  # links may lead in circles
        read.add(os.path.realpath(root))
        folders[:] = sorted(each for each in folders if is_new and not _is_hidden(each))
        inner = PurePosixPath(os.path.relpath(root, folder))
        names += (str(inner / each) for each in files if is_new)
    return names


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "_"))


def _exists(path: Path) -> bool:
    base, pattern = _split_pattern(str(path))
    return path.exists() or (pattern != "" and any(Path(base).glob(pattern)))


def _find_remote(uri: str, format_name: str) -> Iterator[InputFile | str]:
    base, pattern = _split_pattern(uri)
    try:
        filesystem, root = fs.FileSystem.from_uri(base if pattern else uri)
        info = filesystem.get_file_info(root)
        if info.type == fs.FileType.File:
            yield _input_file(filesystem, root, PurePosixPath(root).name, format_name)
        elif info.type == fs.FileType.Directory:
            parts = PurePosixPath(pattern).parts
            inner = filesystem.get_file_info(fs.FileSelector(root, recursive=len(parts) != 1))
            names = [
                str(PurePosixPath(each.path).relative_to(root))
                for each in inner
                if each.type == fs.FileType.File
            ]
            matches = [name for name in names if not parts or _matches(name.split("/"), parts)]
            yield from _select_files(filesystem, root, matches, format_name)
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"a name in {uri} (corpus.paths) is not in UTF-8: rename the file or folder ({error})"
        ) from error
    except (ValueError, NotImplementedError) as error:
        raise CorpusError(
            f"{uri} (corpus.paths) is not a supported address ({error}): "
            "use s3://, gs://, hdfs:// or file://"
        ) from error
    except OSError as error:
        raise _unreachable(uri, error) from error


def _check_pattern(path: str) -> None:
    for part in path.split("/"):
        if "**" in part and part != "**":
            one = re.sub(r"\*+", "*", part)
            raise CorpusError(
                f"{path} (corpus.paths) is not a glob: `**` means any folders and must be alone "
                f"between slashes; write {one} for files of one folder, **/{one} for those below"
            )


def _split_pattern(path: str) -> tuple[str, str]:
    """Return a path up to its first part with a wildcard, and the pattern, which may be empty."""
    if not (match := _MAGIC.search(path)):
        return path, ""
    cut = path.rfind("/", 0, match.start())
    rest = PurePosixPath(path[cut + 1 :])
    pattern = str(rest / "*" if rest.name == "**" else rest)
    return path[: max(cut, 0)] or ("/" if path.startswith("/") else "."), pattern


def _matches(name: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a name match a glob, with the rules of `Path.glob`."""
    if not pattern:
        return not name
    first, *rest = pattern
    if first == "**":
        return any(_matches(name[below:], rest) for below in range(len(name)))
    return bool(name) and fnmatchcase(name[0], first) and _matches(name[1:], rest)


def _select_files(
    filesystem: fs.FileSystem, base: str, names: list[str], format_name: str
) -> Iterator[InputFile | str]:
    for name in sorted(names):
        parts = PurePosixPath(name).parts
        if any(map(_is_hidden, parts)):
            continue
        path = f"{base.rstrip('/')}/{name}"
        is_broken = isinstance(filesystem, fs.LocalFileSystem) and not Path(path).is_file()
        if is_broken or (format_name == "auto" and not format_by_ending(name)):
            yield name
        else:
            yield _input_file(filesystem, path, name, format_name)


def _input_file(filesystem: fs.FileSystem, path: str, name: str, format_name: str) -> InputFile:
    kind = format_by_ending(name) if format_name == "auto" else format_name
    try:
        path.encode()
    except UnicodeEncodeError as error:
        shown = path.encode("utf-8", "backslashreplace").decode()
        raise CorpusError(
            f"the name of {shown} (corpus.paths) is not in UTF-8: rename the file or its folder"
        ) from error
    if not kind:
        if unread := kind_by_name(name) or kind_by_bytes(_first_bytes(filesystem, path)):
            raise CorpusError(f"{path} (corpus.paths) {describe_kind(unread)}")
        raise CorpusError(
            f"the ending of {path} (corpus.paths) is no known format: set corpus.format to "
            f"one of {', '.join(known_formats())}"
        )
    return InputFile(
        filesystem, path, name, kind, COMPRESSIONS.get(PurePosixPath(name).suffix.lower())
    )


def _first_bytes(filesystem: fs.FileSystem, path: str) -> bytes:
    try:
        with filesystem.open_input_stream(path, compression=None) as stream:
            return bytes(stream.read(HEAD))
    except OSError as error:
        raise _unreachable(path, error) from error


def _unreachable(path: str, error: OSError) -> CorpusError | ServiceError:
    if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError):
        return CorpusError(
            f"{path} (corpus.paths) cannot be read ({error.strerror or error}): check the "
            "path and its permissions"
        )
    return ServiceError(
        f"{path} (corpus.paths) cannot be reached: {error}; check the address, the network and "
        "the credentials in the environment, and run again"
    )
