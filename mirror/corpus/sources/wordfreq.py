"""Corpus source `wordfreq`: the most frequent words of a language."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mirror.config_base import Positive
from mirror.corpus_config import CorpusSection, CorpusSource, register_source
from mirror.errors import CorpusError

if TYPE_CHECKING:
    from mirror.documents import Document
    from mirror.recipe import Recipe

PER_BILLION = 1_000_000_000


class WordfreqSection(CorpusSection):
    """Settings of source `wordfreq`."""

    words: Positive = 50_000
    """How many words of the list to take."""


class Wordfreq(CorpusSource[WordfreqSection]):
    """Frequency lists of the package wordfreq."""

    name = "wordfreq"
    settings = WordfreqSection
    is_word_list = True

    def check(self, section: WordfreqSection, recipe: Recipe) -> None:
        """Raise CorpusError if there is no list for the recipe's language."""
        check_list(recipe.language)

    def read(self, section: WordfreqSection, recipe: Recipe) -> Iterator[Document]:
        """Yield words by falling frequency, counted per billion."""
        import wordfreq

        from mirror.documents import Document

        check_list(recipe.language)
        frequencies = wordfreq.get_frequency_dict(recipe.language)
        ordered = sorted(frequencies.items(), key=lambda item: (-item[1], item[0]))
        for word, frequency in itertools.islice(ordered, section.words):
            yield Document(word, "wordfreq", occurrences=max(1, round(frequency * PER_BILLION)))

    def digests(self, section: WordfreqSection, recipe: Recipe) -> dict[str, str]:
        """Return no digest: the package's version and the language name the list."""
        return {}

    def describe(self, section: WordfreqSection) -> str:
        """Return the size of the list."""
        return f"the {section.words:,} most frequent words of wordfreq"

    def label(self, section: WordfreqSection) -> str:
        """Return the name of the list."""
        return "wordfreq's list, the most frequent"

    def libraries(self, section: WordfreqSection) -> tuple[str, ...]:
        """Return the package that has the lists."""
        return ("wordfreq",)


def check_list(language: str) -> None:
    """Raise CorpusError if there is no list for a language."""
    import wordfreq

    known = wordfreq.available_languages()
    if language not in known:
        raise CorpusError(
            f"wordfreq has no list for language {language!r}; it has {', '.join(sorted(known))}: "
            "use source 'files' with a list of your own"
        )


register_source(Wordfreq())
