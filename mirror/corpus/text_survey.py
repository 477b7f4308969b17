"""Survey of a text before a recipe exists: format, encoding, columns, language and documents.

A sample is read: the first documents of some of the files.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

from mirror.config_base import Level
from mirror.corpus.cleaning import clean_text
from mirror.corpus.encoding_guess import find_encoding
from mirror.corpus.file_kinds import describe_formats, describe_left_out
from mirror.corpus.input_files import URI, FoundFiles, InputFile, file_facts, search_files
from mirror.corpus.language_id import (
    PASSAGE_LETTERS,
    can_identify,
    identify_languages,
    main_language,
    passages_of,
)
from mirror.corpus.readers import DELIMITERS
from mirror.corpus.sentences import split_sentences
from mirror.corpus.sources import wordfreq
from mirror.corpus.sources.files import FilesSection, read_files
from mirror.corpus.table_columns import choose_columns
from mirror.data_files import SCHEMES
from mirror.documents import Document
from mirror.download import download_unpinned
from mirror.errors import CorpusError
from mirror.paths import CHECKOUT, local_places

DOCUMENTS, FILES, SECONDS = 2_000, 50, 10.0
"""Most documents, files and seconds of a sample."""
WORD_LISTS = "wordfreq"
"""Names the lists of the corpus source, in place of a path."""
MOST_FOREIGN, SOME_FOREIGN = 0.5, 0.05
SOME_REPEATED = 0.1
SHORT_WORDS = 4
"""Most words of a name."""
TABLES = ("jsonl", "parquet", *DELIMITERS)
_LIST = 0.95
"""Share of the lines of a list that are short."""


@dataclass(frozen=True)
class TextSurvey:
    """What a sample of a text shows."""

    settings: Mapping[str, Any]
    """Of `[corpus]`."""
    documents: tuple[Document, ...]
    """The sample."""
    sentences: tuple[int, ...]
    """Of each document of the sample, without those of earlier ones; all are 1 in a list."""
    is_whole: bool
    """Whether the sample is the whole text."""
    files: int
    megabytes: float
    formats: tuple[str, ...]
    level: Level
    notes: tuple[str, ...] = field(default=())
    """What the user should know, a sentence each."""

    def share(self, fewest: int) -> float:
        """Return the share of the documents with as many sentences."""
        return sum(number >= fewest for number in self.sentences) / len(self.sentences)

    @property
    def titled(self) -> int:
        """The number of documents with a title."""
        return sum(bool(document.title) for document in self.documents)


def survey_text(
    text: str,
    language: str,
    level: Level | None = None,
    text_column: str | None = None,
    title_column: str | None = None,
) -> TextSurvey:
    """Read a sample of a text and return how a recipe reads it.

    Args:
        text: as in `corpus.paths`, or the http(s) address of a file, or `wordfreq`.
        language: the one that it should be in.
        level: None to choose by the length of the lines.
        text_column: of a table; None to choose.
        title_column: likewise.

    Raises:
        CorpusError: there is no text, it is in another language, or its columns leave a choice.
        ServiceError: an object store does not answer.
    """
    if text == WORD_LISTS:
        return _survey_word_list(language)
    if text.startswith(SCHEMES):
        return _survey_address(text, language, level, text_column, title_column)
    settings: dict[str, Any] = {"source": "files", "paths": [_recipe_path(text)]}
    found = _search(settings["paths"][0])
    files = list(found.files[:: -(-len(found.files) // FILES)])
    if encoding := find_encoding(files, language):
        settings["encoding"] = encoding
    if tables := [file for file in files if file.format in TABLES]:
        settings |= choose_columns(tables[0], encoding or "utf-8", level, text_column, title_column)
    elif text_column or title_column:
        raise CorpusError(f"{text} is no table: leave --text-column and --title-column out")
    documents, is_whole = _sample(files, settings)
    if _is_wrapped(files, documents):
        settings["format"] = "paragraphs"
        documents, is_whole = _sample(files, settings)
    notes = _notes(text, language, documents, found.left_out)
    is_whole &= len(files) == len(found.files)
    return _describe(settings, documents, is_whole, found.files, language, level, notes)


def _survey_word_list(language: str) -> TextSurvey:
    wordfreq.check_list(language)
    return TextSurvey({"source": WORD_LISTS}, (), (), False, 0, 0.0, (WORD_LISTS,), "word")


def _survey_address(url: str, *options: Any) -> TextSurvey:
    """Return the survey of a file of a publisher, whose recipe names its checksum."""
    with tempfile.TemporaryDirectory() as folder:
        file = download_unpinned(url, Path(folder), CorpusError)
        path = str(Path(folder) / file.path)
        try:
            survey = survey_text(path, *options)
        except CorpusError as error:
            raise CorpusError(str(error).replace(path, url)) from error
    kept = {key: value for key, value in survey.settings.items() if key not in ("source", "paths")}
    return replace(survey, settings={"source": "published", **kept, "files": [file.model_dump()]})


def _describe(
    settings: dict[str, Any],
    documents: Sequence[Document],
    is_whole: bool,
    files: Sequence[InputFile],
    language: str,
    level: Level | None,
    notes: Sequence[str],
) -> TextSurvey:
    readable = tuple(document for document in documents if not document.fault)
    texts = [document.text for document in readable]
    level = level or _level(texts)
    if level != "sentence":
        settings["split_into"] = "lines"
    sentences, repeated = _count_sentences(texts, language, level)
    return TextSurvey(
        settings=settings,
        documents=readable,
        sentences=tuple(sentences),
        is_whole=is_whole,
        files=len(files),
        megabytes=sum(int(fact["bytes"]) for fact in file_facts(list(files))) / 1e6,
        formats=tuple(sorted({file.format for file in files})),
        level=level,
        notes=(*notes, *repeated),
    )


def _search(path: str) -> FoundFiles:
    try:
        return search_files((path,))
    except CorpusError as error:
        fault, _, _ = str(error).partition(f"; {describe_formats()}")
        raise CorpusError(fault.replace("corpus.paths", "--text")) from error


def _recipe_path(text: str) -> str:
    """Return a path or address as a recipe names it: a path is relative in the checkout only."""
    if URI.match(text):
        return text
    _, path = local_places(text)
    return str(path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path)


def _sample(files: Sequence[InputFile], settings: Mapping[str, Any]) -> tuple[list[Document], bool]:
    """Return the first documents of some files, and whether these are all."""
    section = FilesSection.model_validate(settings)
    each, start, is_whole = -(-DOCUMENTS // len(files)), monotonic(), True
    documents: list[Document] = []
    for file in files:
        as_set = InputFile(**{**vars(file), "format": settings.get("format", file.format)})
        read = list(itertools.islice(read_files([as_set], section), each + 1))
        is_whole &= len(read) <= each
        documents += read[:each]
        if monotonic() - start > SECONDS:
            return documents, is_whole and file is files[-1]
    return documents, is_whole


def _is_wrapped(files: Sequence[InputFile], documents: Sequence[Document]) -> bool:
    """Return whether lines are cut at a width, in the middle of sentences."""
    lines = [document.text.rstrip() for document in documents if document.text.strip()]
    if {file.format for file in files} != {"text"} or len(lines) < 20:
        return False
    lengths = sorted(map(len, lines))
    typical, longest = statistics.median(lengths), lengths[int(0.99 * len(lengths))]
    inside = sum(line[-1].isalpha() or line[-1] in ",;-" for line in lines)
    return typical >= 40 and longest <= min(100, 1.5 * typical) and inside > len(lines) / 2


def _level(texts: Sequence[str]) -> Level:
    """Return what the lines of a text are: words, names or sentences."""
    words = [len(text.split()) for text in texts if "\n" not in text and len(text) <= 60]
    ends = sum(text.rstrip().endswith((".", "!", "?", "。", "؟")) for text in texts)
    short = sum(number <= SHORT_WORDS for number in words)
    if short < _LIST * len(texts) or ends > len(texts) / 10:
        return "sentence"
    if statistics.mean(map(len, texts)) > 30:  # without spaces, as in Chinese
        return "sentence"
    return "word" if sum(number == 1 for number in words) >= _LIST * len(texts) else "name"


def _count_sentences(
    texts: Sequence[str], language: str, level: Level
) -> tuple[list[int], list[str]]:
    """Return for each text its sentences that no earlier text has, and a note if most repeat."""
    if level != "sentence":
        return [1] * len(texts), []
    seen, counts, total = set[str](), list[int](), 0
    for text in texts:
        sentences = split_sentences(clean_text(text), language)
        total += len(sentences)
        counts.append(len(new := set(sentences) - seen))
        seen |= new
    repeated = 1 - len(seen) / max(1, total)
    note = f"{repeated:.0%} of {total:,} sentences repeat an earlier one and are left out"
    return counts, [note] if repeated > SOME_REPEATED else []


def _notes(
    text: str, language: str, documents: Sequence[Document], left_out: Sequence[str]
) -> list[str]:
    """Return what is odd about a text, a sentence each; raise CorpusError if it is unusable."""
    notes = []
    texts = [document.text for document in documents if not document.fault]
    if not any(map(str.strip, texts)):
        raise CorpusError(f"{text} has no text: name other files with --text")
    if left_out:
        notes.append(describe_left_out(left_out))
    if unread := len(documents) - len(texts):
        faults = Counter(document.fault for document in documents if document.fault)
        notes.append(f"{unread:,} of {len(documents):,} rows are rejected ({_counted(faults)})")
    if not can_identify(language):
        return [*notes, f"language {language} cannot be identified: foreign text is kept"]
    shares = identify_languages(passages := passages_of(texts))
    foreign = 1 - shares[main_language(language)] / len(passages)
    if foreign > MOST_FOREIGN and sum(map(len, passages)) >= PASSAGE_LETTERS:
        top, number = shares.most_common(1)[0]
        raise CorpusError(
            f"{number / len(passages):.0%} of the sampled text of {text} is in {top!r} and "
            f"{1 - foreign:.0%} in {language!r}: set --language {top}, or name other text"
        )
    if foreign > SOME_FOREIGN:
        notes.append(f"{foreign:.0%} of the text is in other languages, which a run rejects")
    return notes


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{number:,} {name}" for name, number in counts.items())
