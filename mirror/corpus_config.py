"""The recipe's `[corpus]`: settings of every source, and the registry of sources.

A source is a module in `mirror/corpus/sources/` that calls `register_source`.  This module imports
none of the libraries that read text, because every recipe is read with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from mirror.config_base import Positive, Section
from mirror.hashing import class_code_hash
from mirror.registration import import_modules

if TYPE_CHECKING:
    from mirror.documents import Document
    from mirror.recipe import Recipe

FileFacts = Mapping[str, int | str]
"""An input file: `name` among the stage's inputs, `path` and size in `bytes`."""


class CorpusSection(Section):
    """Settings of every source; each source adds its own."""

    source: str
    """Name of a registered source."""
    exclude_sources: tuple[str, ...] = ()
    """Rows whose source contains one of these are rejected."""
    split_into: Literal["sentences", "lines"] = "sentences"
    """Split text into sentences, or take each line as one string (lists of words or names)."""
    keep_raw: bool = False
    """Take each line unrepaired and with duplicates, as the paper's code does
    (docs/official-code.md, fault 11); `min_characters` and `max_characters` still apply."""
    min_characters: Positive = 1
    max_characters: Positive = 1_000
    """Bounds of a string's length."""
    check_language: bool = True
    """Reject documents that are clearly in another language."""
    near_duplicates: Annotated[float, Field(gt=0, le=1)] | None = None
    """Reject strings whose 3-gram Jaccard similarity to an earlier one is estimated above this."""

    @field_validator("source")
    @classmethod
    def _is_registered(cls, name: str) -> str:
        if name not in _registered():
            raise ValueError(f"unknown source; use one of {', '.join(sorted(_registered()))}")
        return name

    @model_validator(mode="after")
    def _options_agree(self) -> Self:
        if self.keep_raw and (self.split_into != "lines" or not find_source(self.source).has_lines):
            raise ValueError("`keep_raw` is for lists of lines: set `split_into` to 'lines'")
        if self.keep_raw and self.near_duplicates is not None:
            raise ValueError(
                "`keep_raw` keeps duplicates, `near_duplicates` rejects them: choose one"
            )
        if self.min_characters > self.max_characters:
            raise ValueError(
                "`min_characters` is above `max_characters`: lower the one or raise the other"
            )
        return self

    @property
    def is_list(self) -> bool:
        """Whether each line is one string: a word, a name, or a line of a list."""
        return self.split_into == "lines" or find_source(self.source).is_word_list


class ColumnsSection(CorpusSection):
    """Settings of sources that may be tables."""

    text_column: str = "text"
    """jsonl, csv, tsv, parquet, hub: the column that holds the text."""
    source_column: str | None = None
    """Likewise, the column that says where a row comes from; else the file or the data set."""
    title_column: str | None = None
    """Likewise, the column with the text's title; rows have none if it is left out."""

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        named = (self.text_column, self.source_column, self.title_column)
        return list(dict.fromkeys(filter(None, named)))


Settings = TypeVar("Settings", bound=CorpusSection)


class CorpusSource(ABC, Generic[Settings]):
    """A kind of text that a corpus can be made from.

    Modules of sources are imported whenever a recipe is read, so they import the libraries that
    read text inside their methods.
    """

    name: ClassVar[str]
    settings: type[Settings]
    """The recipe's `[corpus]` for this source."""
    is_word_list: ClassVar[bool] = False
    """Whether each document is one word, which is neither split nor checked for its language."""
    has_lines: ClassVar[bool] = False
    """Whether documents may be taken line by line, as they are (`keep_raw`)."""

    @abstractmethod
    def check(self, section: Settings, recipe: Recipe) -> None:
        """Raise InputError if the text is missing or of another kind; reads little."""

    @abstractmethod
    def read(self, section: Settings, recipe: Recipe) -> Iterator[Document]:
        """Yield all documents, in an order that depends on the settings and the data only."""

    def shards(self, section: Settings) -> Sequence[Any]:
        """Return parts of the data that `read_shard` reads, in the order in which `read` does.

        Workers of a cluster read them.  A source that cannot be divided has none.
        """
        return ()

    def read_shard(self, section: Settings, shard: Any) -> Iterator[Document]:
        """Yield the documents of one of the shards."""
        raise NotImplementedError

    @abstractmethod
    def digests(self, section: Settings, recipe: Recipe) -> dict[str, str]:
        """Return digests of the data by name: equal digests mean equal documents."""

    @abstractmethod
    def describe(self, section: Settings) -> str:
        """Return where the text comes from, in a few words, for errors and the model card."""

    def label(self, section: Settings) -> str:
        """Return a short form of `describe` for captions."""
        return self.describe(section)

    def libraries(self, section: Settings) -> tuple[str, ...]:
        """Return distributions whose version changes the documents.

        Raises:
            InputError: one belongs to an extra that is not installed.
        """
        return ()

    def code_digest(self, section: Settings) -> str:
        """Return a digest of the code that makes the documents."""
        return class_code_hash(type(self))

    def unhashed_settings(self) -> tuple[str, ...]:
        """Return settings that change no document, such as where a file is looked for."""
        return ()

    def files(self, section: Settings, recipe: Recipe) -> list[FileFacts]:
        """Return name, path and size of the input files; the names are those of `digests`."""
        return []

    def files_left_out(self, section: Settings, recipe: Recipe) -> tuple[str, ...]:
        """Return names of files in the folders that are named, whose format is not read."""
        return ()


_sources: dict[str, CorpusSource[Any]] = {}


def register_source(source: CorpusSource[Any]) -> None:
    """Add a source under its name; a second one of the same name replaces it."""
    _sources[source.name] = source


def find_source(name: str) -> CorpusSource[Any]:
    """Return the source of that name, which must be registered."""
    return _registered()[name]


def gives_documents(content: Any) -> bool:
    """Return whether a recipe's `[corpus]`, not validated yet, has text of several sentences."""
    if not isinstance(content, dict) or content.get("split_into") == "lines":
        return False
    source = _registered().get(str(content.get("source")))
    return source is not None and not source.is_word_list


def _registered() -> dict[str, CorpusSource[Any]]:
    import_modules("mirror.corpus.sources")
    return _sources


def _with_settings_of_source(content: Any) -> Any:
    if not isinstance(content, dict):
        return content
    source = _registered().get(str(content.get("source")))
    if source is None:  # report the unknown source only
        return CorpusSection.model_validate({k: v for k, v in content.items() if k == "source"})
    return source.settings.model_validate(content)


AnyCorpusSection = Annotated[
    SerializeAsAny[CorpusSection], BeforeValidator(_with_settings_of_source)
]
"""A `[corpus]` with the settings of its source."""
