"""Corpus source `hub`: data sets of a hub, or local folders in their layout."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import model_validator

from mirror.config_base import Address, Positive
from mirror.corpus_config import ColumnsSection, CorpusSource, register_source
from mirror.errors import CorpusError, ServiceError
from mirror.paths import local_path

if TYPE_CHECKING:
    from mirror.documents import Document
    from mirror.recipe import Recipe

_COMMIT = re.compile(r"[0-9a-f]{40}")


class HubSection(ColumnsSection):
    """Settings of source `hub`."""

    dataset: Address | None = None
    """The data set's id, or a local folder in its layout, found like `paths` of source `files`."""
    subset: str | None = None
    """The data set's configuration."""
    split: str = "train"
    revision: str | None = None
    """The commit to read, in full; required for a data set that is not a local folder."""
    documents: Positive | None = None
    """How many of its first rows to read; all if it is left out."""

    @model_validator(mode="after")
    def _names_a_fixed_data_set(self) -> Self:
        if not self.dataset:
            raise ValueError("source 'hub' needs `dataset`: a data set's id or a local folder")
        if not local_path(self.dataset).exists() and not _COMMIT.fullmatch(self.revision or ""):
            raise ValueError(
                "a data set that is no folder on this machine needs `revision`, a commit's 40 "
                "hexadecimal digits: what a branch, a tag or a short commit means may change"
            )
        return self


class Hub(CorpusSource[HubSection]):
    """Data sets read with the package datasets, never with a script of their own."""

    name = "hub"
    settings = HubSection
    has_lines = True

    def check(self, section: HubSection, recipe: Recipe) -> None:
        """Check nothing: reading one row would already download a file."""

    def read(self, section: HubSection, recipe: Recipe) -> Iterator[Document]:
        """Yield the rows of a split in order."""
        self.libraries(section)
        import datasets

        folder = local_path(str(section.dataset))
        name = str(folder) if folder.exists() else str(section.dataset)
        try:
            rows = datasets.load_dataset(
                name,
                name=section.subset,
                split=section.split,
                revision=section.revision,
                streaming=True,
            )
            for number, row in enumerate(itertools.islice(rows, section.documents), 1):
                yield _document(row, number, section)
        except (ConnectionError, TimeoutError) as error:
            raise ServiceError(
                f"the hub did not answer for data set {name} ({error}): check the network and "
                "run again, or name a local folder in corpus.dataset"
            ) from error
        except (
            OSError,
            ValueError,
            KeyError,
            RuntimeError,  # of a data set that comes with a script, which is never run
            datasets.exceptions.DatasetsError,
        ) as error:
            raise CorpusError(
                f"data set {name} cannot be read ({error}): check corpus.dataset, subset, split "
                f"{section.split!r} and revision"
            ) from error

    def digests(self, section: HubSection, recipe: Recipe) -> dict[str, str]:
        """Return a digest of a local folder's files, else of the id and the commit."""
        from mirror.hashing import digest_of_json, file_digests

        folder = local_path(str(section.dataset))
        if folder.exists():
            return {"dataset": digest_of_json(file_digests(folder))}
        return {"dataset": digest_of_json([section.dataset, section.revision])}

    def describe(self, section: HubSection) -> str:
        """Return the data set and its commit."""
        return f"{section.dataset} at {section.revision or 'its local copy'}"

    def label(self, section: HubSection) -> str:
        """Return the data set."""
        return str(section.dataset)

    def libraries(self, section: HubSection) -> tuple[str, ...]:
        """Return the package that reads data sets."""
        from mirror.corpus.extras import require_extra

        return (require_extra("datasets", "source 'hub'", "hub"),)


def _document(row: dict[str, Any], number: int, section: HubSection) -> Document:
    from mirror.documents import MAX_BYTES, NO_TEXT, OVERSIZED, Document, row_document

    for column in section.columns:
        if column not in row:
            raise CorpusError(
                f"data set {section.dataset} has no column {column!r}: set text_column, "
                "source_column or title_column in [corpus] to one that it has "
                f"({', '.join(sorted(row))})"
            )
    name = Path(str(section.dataset)).name
    source = str(row[section.source_column]) if section.source_column else name
    text = row[section.text_column]
    if not isinstance(text, str):
        return Document(f"row {number}", source, fault=NO_TEXT)
    if len(text) > MAX_BYTES:
        return Document(f"row {number}", source, fault=OVERSIZED)
    return row_document(text, source, row.get(section.title_column or ""), section.is_list)


register_source(Hub())
