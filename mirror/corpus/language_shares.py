"""How likely texts are in given languages: py3langid's model, on many texts at once.

py3langid walks an automaton in Python, a step a byte.  Its states tell of no more than the last six
bytes, so the text can be walked in strips side by side, each begun six bytes early.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

STRIP = 64
"""Bytes that one lane walks."""
STATES_AT_ONCE = 1_000
_BREAK = 0xFF
"""A byte that UTF-8 does not have: after it the automaton is at its start, as before a text."""


class LanguageShares:
    """Probabilities of languages, as `LanguageIdentifier.rank` of py3langid gives them."""

    def __init__(self) -> None:
        """Loads the model that comes with py3langid."""
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        model = LanguageIdentifier.from_model_file(MODEL_FILE)
        self._next = np.asarray(model.tk_nextmove).view(np.int32)  # 40 MB, not copied
        self._base = np.asarray(model.tk_row, np.int32) << 8
        self._feature = np.asarray(model.tk_output, np.int32)
        self._weights: NDArray[np.float16] = model.nb_ptc
        self._prior: NDArray[np.float32] = model.nb_pc
        self._labels = np.array(model.nb_classes)
        self._reach = _depth(self._next, self._base)

    @property
    def labels(self) -> frozenset[str]:
        """Codes of the languages that the model knows."""
        return frozenset(self._labels.tolist())

    def of(self, texts: Sequence[str], languages: Collection[str]) -> NDArray[np.float32]:
        """For each text the probability, (n,), that it is in one of the languages.

        What a text gets depends on no other.
        """
        encoded = [_encode(text) for text in texts]
        scores = self._scores(encoded)
        lengths = np.array([len(text) or 1 for text in encoded], np.float32)
        scores /= np.sqrt(lengths)[:, None]  # as py3langid does, to be calibrated at any length
        shares = np.exp(scores - scores.max(1, keepdims=True))
        shares /= shares.sum(1, keepdims=True)
        own: NDArray[np.float32] = shares[:, np.isin(self._labels, list(languages))].sum(1)
        return own

    def _scores(self, texts: list[bytes]) -> NDArray[np.float32]:
        """Log-probabilities, (texts, languages), up to a constant of the text."""
        from scipy.sparse import csr_array

        stops = np.cumsum([len(text) + 1 for text in texts])
        found = self._feature[self._states(texts)]
        places = np.flatnonzero(found >= 0)
        text_of = np.searchsorted(stops, places, side="right")
        pairs, counts = np.unique(text_of * len(self._weights) + found[places], return_counts=True)
        rows, features = np.divmod(pairs, len(self._weights))
        used, columns = np.unique(features, return_inverse=True)
        starts = np.searchsorted(rows, np.arange(len(texts) + 1))
        logs = np.log1p(counts.astype(np.float32))
        table = csr_array((logs, columns, starts), shape=(len(texts), len(used)))
        scores: NDArray[np.float32] = table @ self._weights[used].astype(np.float32)
        scores += self._prior
        scores[starts[1:] == starts[:-1]] = 0  # without a feature, every language is as likely
        return scores

    def _states(self, texts: list[bytes]) -> NDArray[np.int32]:
        """The automaton's state after every byte of the texts and of the break behind each."""
        joined = np.frombuffer(b"".join(text + bytes([_BREAK]) for text in texts), np.uint8)
        lanes = -(-len(joined) // STRIP)
        padded = np.full(self._reach + lanes * STRIP, _BREAK, np.uint8)
        padded[self._reach : self._reach + len(joined)] = joined
        strips = np.lib.stride_tricks.as_strided(
            padded, (self._reach + STRIP, lanes), (1, STRIP), writeable=False
        )
        states = np.empty((STRIP, lanes), np.int32)
        now = np.zeros(lanes, np.int32)
        for step, letters in enumerate(strips):
            now = self._next[self._base[now] + letters]
            if step >= self._reach:
                states[step - self._reach] = now
        return states.T.ravel()[: len(joined)]


def _encode(text: str) -> bytes:
    folded = text.lower() if text.isupper() else text
    return unicodedata.normalize("NFC", folded).encode("utf-8", "surrogatepass")


def _depth(following: NDArray[np.int32], base: NDArray[np.int32]) -> int:
    """Bytes after which a state no longer tells where the walk began."""
    rows = following.reshape(-1, 256)
    known = np.zeros(len(base), np.bool_)
    front, depth = np.zeros(1, np.int64), -1
    while len(front):
        known[front] = True
        reached = np.zeros(len(base), np.bool_)
        for some in np.array_split(front, 1 + len(front) // STATES_AT_ONCE):
            reached[rows[base[some] >> 8]] = True
        front = np.flatnonzero(reached & ~known)
        depth += 1
    return depth
