"""Texts made from templates: sentences that differ only by the words in a few places.

Two texts are alike if they share half of their different words.  Of sentences that people wrote,
at most .003 are like five others of 2,000 (English, German and Spanish prose, biomedical abstracts,
docstrings); of sentences that a program filled into 20 or 200 templates, .96 or more are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import regex

MEASURED = 2_000
"""Texts that are compared with each other."""
ALIKE = 0.5
"""Jaccard similarity of two texts' words from which they are alike."""
OTHERS = 5
"""Texts that a text is like, from which it is made from a template."""
FEWEST_WORDS = 5
"""Different words of the shortest text that counts."""
MANY = 0.2
"""Share of texts made from templates from which there is a notice."""

_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}"
_WORD = regex.compile(rf"(?V1)[{_SPACELESS}]|[\w--[{_SPACELESS}]]+")
"""A letter of a script without spaces is a word."""


def template_share(texts: Sequence[str]) -> float:
    """Return the share of the first texts, 0 to 1, that are made from templates.

    Args:
        texts: different texts, in an order that has nothing to do with their contents.
    """
    words = [set(_WORD.findall(text.lower())) for text in texts[:MEASURED]]
    frequency = Counter(word for each in words for word in each)
    columns = {word: number for number, word in enumerate(w for w in frequency if frequency[w] > 1)}
    table = np.zeros((len(words), len(columns)), np.float32)
    for row, each in enumerate(words):
        table[row, [columns[word] for word in each if word in columns]] = 1
    counts = np.array([len(each) for each in words], np.float32)
    shared = table @ table.T
    alike = shared >= ALIKE * (counts[:, None] + counts - shared)
    made = (alike.sum(axis=1) - 1 >= OTHERS) & (counts >= FEWEST_WORDS)
    return float(made.mean()) if len(words) else 0.0
