"""word2vec vectors of a corpus's pieces, to start a model's embeddings from."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mirror.errors import InputError
from mirror.pretraining.dataset import TokenCorpus

DEVIATION = 0.04


class _Paragraphs:
    """The corpus as word2vec wants it: iterable more than once, a list of strings at a time."""

    def __init__(self, corpus: TokenCorpus) -> None:
        self._corpus = corpus

    def __iter__(self) -> Iterator[list[str]]:
        for first, last in pairwise(self._corpus.paragraph_starts):
            yield [str(piece) for piece in self._corpus.pieces[first : last - 1].tolist()]


def word_vectors(
    corpus: TokenCorpus, *, vocabulary_size: int, width: int, epochs: int, seed: int
) -> NDArray[np.float32]:
    """Skip-gram vectors (Mikolov et al. 2013), centred, with a standard deviation of 0.04.

    Pieces seen fewer than five times get random vectors of the same size.  One worker, so that
    equal seeds give equal vectors.

    Returns:
        An array (vocabulary_size, width).

    Raises:
        InputError: gensim, which computes them, is not installed.
    """
    try:
        from gensim.models import Word2Vec
    except ModuleNotFoundError as error:
        raise InputError(
            "word vectors need gensim, which is not installed: `pip install -e .[pretrain]`, "
            "or set word_vector_epochs = 0"
        ) from error
    model = Word2Vec(
        _Paragraphs(corpus),
        vector_size=width,
        window=5,
        min_count=5,
        sg=1,
        negative=8,
        sample=1e-4,
        epochs=epochs,
        workers=1,
        seed=seed,
    )
    table = np.random.default_rng(seed).normal(size=(vocabulary_size, width)).astype(np.float32)
    vectors = model.wv.vectors - model.wv.vectors.mean(axis=0)
    table[[int(piece) for piece in model.wv.index_to_key]] = vectors / vectors.std()
    return table * np.float32(DEVIATION)
