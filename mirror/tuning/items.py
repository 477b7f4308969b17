"""Items of tuning, and the two texts that each gives in an epoch."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq

from mirror.tuning_config import TuningSection, View


@dataclass(frozen=True)
class TextPair:
    """Two texts that mean the same; a string paired with itself has one text twice."""

    first: str
    second: str

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of which an item consists, each once."""
        return (self.first,)


@dataclass(frozen=True)
class DocumentItem:
    """A document, whose parts are views of each other."""

    sentences: tuple[str, ...]
    title: str = ""
    body: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The sentences."""
        return self.sentences


Item = TextPair | DocumentItem


class ViewPair(NamedTuple):
    """The two texts of an item in an epoch."""

    first: str
    second: str
    masked: bool
    """Whether the second text is masked, as its pair is the same text or has the same meaning."""


@dataclass(frozen=True)
class ItemFiles:
    """Parquet files of items; None for those that a recipe leaves out."""

    strings: Path | None
    """With the column `text`; for documents also `document`, in order."""
    titles: Path | None = None
    """With `document`, `title` and `body`; given for views of documents."""
    pairs: Path | None = None
    """With `first` and `second`."""


def read_items(files: ItemFiles) -> list[Item]:
    """Return a sample's strings, each paired with itself, or its documents; then labelled pairs."""
    items: list[Item] = []
    if files.strings is not None and files.titles is not None:
        items += _documents(files.strings, files.titles)
    elif files.strings is not None:
        texts = pq.read_table(files.strings, columns=["text"])["text"].to_pylist()
        items += [TextPair(text, text) for text in texts]
    if files.pairs is not None:
        table = pq.read_table(files.pairs, columns=["first", "second"])
        columns = (table[name].to_pylist() for name in table.column_names)
        items += [TextPair(*texts) for texts in zip(*columns, strict=True)]
    return items


def _documents(strings: Path, titles: Path) -> list[DocumentItem]:
    columns = pq.read_table(titles).to_pydict()
    rows = zip(columns["document"], columns["title"], columns["body"], strict=True)
    titled = {document: (title, body) for document, title, body in rows}
    columns = pq.read_table(strings, columns=["text", "document"]).to_pydict()
    texts = zip(columns["document"], columns["text"], strict=True)
    return [
        DocumentItem(tuple(text for _, text in group), *titled.get(document, ("", "")))
        for document, group in groupby(texts, key=lambda row: row[0])
    ]


def as_items(strings: Sequence[str | Item]) -> list[Item]:
    """Return items as they are, and strings paired with themselves."""
    return [TextPair(text, text) if isinstance(text, str) else text for text in strings]


def view_pair(item: Item, index: int, epoch: int, settings: TuningSection) -> ViewPair:
    """Return the two texts of an item in an epoch; they depend on the seed too, on nothing else.

    Args:
        item: the item.
        index: of the item among all.
        epoch: counted from 0.
        settings: a recipe's `[tuning]`.
    """
    if isinstance(item, TextPair):
        return ViewPair(item.first, item.second, masked=True)
    generator = random.Random(f"view {settings.seed} {epoch} {index}")
    view = _draw_view(settings.views, generator)
    if view == "titles" and item.title:
        return ViewPair(item.title, item.body, masked=False)
    if view != "identity" and len(item.sentences) > 1:
        first, second = crops(item.sentences, settings.crop_sentences, generator)
        return ViewPair(first, second, masked=False)
    text = generator.choice(item.sentences)
    return ViewPair(text, text, masked=True)


def crops(sentences: Sequence[str], longest: int, generator: random.Random) -> tuple[str, str]:
    """Return two neighbouring runs of sentences, of 1 to `longest` sentences each.

    Args:
        sentences: of one document, two or more.
        longest: the most sentences of a run.
        generator: draws the place between the runs and their lengths.
    """
    cut = generator.randrange(1, len(sentences))
    before, after = generator.randint(1, longest), generator.randint(1, longest)
    return " ".join(sentences[max(0, cut - before) : cut]), " ".join(sentences[cut : cut + after])


def _draw_view(shares: Mapping[View, float], generator: random.Random) -> View:
    kinds = sorted(shares)
    return generator.choices(kinds, [shares[kind] for kind in kinds])[0]
