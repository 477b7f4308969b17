"""Reasons for rejected rows and skipped pairs, and keys of what else a corpus's stage counts."""

from __future__ import annotations

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

FILES_LEFT_OUT = "files_left_out"
"""Key of the counts of files whose format is not read, by ending."""
NEAR_COPIES = "near_copies"
"""Key of the estimated share of strings that are near copies of another; 0 in lists."""
TEMPLATES = "templates"
"""Key of the estimated share of strings that are made from templates, in the profile's counts."""
