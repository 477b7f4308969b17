"""Reasons for rejected rows and skipped pairs, and keys of what else a corpus's stage counts."""

from __future__ import annotations

from mirror.documents import EMPTY_CELL, NO_TEXT, OVERSIZED

EMPTY = "empty"
LEFT_OUT = "left out"
OTHER_LANGUAGE = "other language"
BROKEN_TEXT = "broken characters"
TOO_SHORT = "too short"
TOO_LONG = "too long"
DUPLICATE = "duplicate"
NEAR_DUPLICATE = "near duplicate"
NOT_JSON = "not JSON"
MISFIT = "not as many cells as columns"

EMPTY_TEXT = "empty text"
"""Of a labelled pair."""
EQUAL_TEXTS = "equal texts"
"""Of a labelled pair."""

REMEDIES = {
    EMPTY: "expected of blank rows, and of headings and mails without text",
    LEFT_OUT: "as corpus.exclude_sources asks",
    OTHER_LANGUAGE: "set corpus.check_language to false to keep them",
    BROKEN_TEXT: "set corpus.encoding to the files' encoding",
    TOO_SHORT: "lower corpus.min_characters to keep them",
    TOO_LONG: "raise corpus.max_characters, or split them",
    DUPLICATE: "expected: each string is taken once",
    NEAR_DUPLICATE: "raise corpus.near_duplicates to keep more",
    EMPTY_CELL: "write empty cells without text, and check corpus.text_column",
    NO_TEXT: "check corpus.text_column",
    OVERSIZED: "split these rows",
    NOT_JSON: "correct these lines",
    MISFIT: "correct quotes and separators of these lines",
    EMPTY_TEXT: "complete or remove them",
    EQUAL_TEXTS: "expected: such pairs teach no more than the strings",
}
"""What helps, by reason."""

FILES_LEFT_OUT = "files_left_out"
"""Key of the counts of files whose format is not read, by ending."""
NEAR_COPIES = "near_copies"
"""Key of the estimated share of strings that are near copies of another; 0 in lists."""
TEMPLATES = "templates"
"""Key of the estimated share of strings that are made from templates, in the profile's counts."""
WITHOUT_LETTERS = "without_letters"
"""Key of the share of strings without a letter, such as numbers, in the profile's counts."""
