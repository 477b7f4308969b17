"""Validation documents and their queries."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from mirror.tuning.items import DocumentItem, Item, TextPair
from mirror.tuning.validation import ValidationSet, split_validation


def documents(count: int, sentences: int = 4, *, titled: bool = True) -> list[Item]:
    return [
        DocumentItem(
            tuple(f"d{number} s{nth}" for nth in range(sentences)),
            f"t{number}" if titled else "",
            f"b{number}" if titled else "",
        )
        for number in range(count)
    ]


class ByDocument:
    """Encoder whose vector of a text depends on the digits of its first word only."""

    def __init__(self, wrong: Sequence[str] = ()) -> None:
        self.wrong = wrong

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [np.random.default_rng(self._number(text)).normal(size=64) for text in texts]
        return np.array(rows, dtype=np.float32)

    def _number(self, text: str) -> int:
        return 10**6 if text in self.wrong else int(text.split()[0][1:])


def test_validation_documents_are_not_tuned_on_and_do_not_depend_on_order() -> None:
    items = documents(1_000)
    tuned_on, found = split_validation(items, 50, 3)
    assert found is not None
    assert found.documents == 50
    assert len(tuned_on) == 950
    texts = {text for pairs in found.pairs.values() for pair in pairs for text in pair}
    touched = {item.texts[0].split()[0] for item in tuned_on}
    assert not touched & {text.split()[0].replace("t", "d").replace("b", "d") for text in texts}
    _, again = split_validation(items[::-1], 50, 3)
    assert again is not None
    assert {kind: set(pairs) for kind, pairs in again.pairs.items()} == {
        kind: set(pairs) for kind, pairs in found.pairs.items()
    }


def test_queries_are_titles_neighbouring_crops_and_halves() -> None:
    _, found = split_validation(documents(400), 30, 2)
    assert found is not None
    assert {kind: len(pairs) for kind, pairs in found.pairs.items()} == {
        "titles": 30,
        "crops": 30,
        "halves": 30,
    }
    for query, answer in found.pairs["titles"]:
        assert (query[0], answer[0], query[1:]) == ("t", "b", answer[1:])
    for query, answer in found.pairs["halves"]:
        number = query.split()[0]
        assert query == f"{number} s0 {number} s1"
        assert answer == f"{number} s2 {number} s3"
    for query, answer in found.pairs["crops"]:
        last, following = query.split()[-1], answer.split()[1]
        assert int(following[1:]) == int(last[1:]) + 1
        assert len(query.split()) <= 4
        assert len(answer.split()) <= 4


@pytest.mark.parametrize(
    "items",
    [
        documents(199),
        documents(1_000, sentences=1),
        [TextPair(f"a{n}", f"a{n}") for n in range(1_000)],
    ],
    ids=["a tenth is below 20", "single sentences", "strings"],
)
def test_too_few_documents_give_no_validation(items: list[Item]) -> None:
    assert split_validation(items, 50, 3) == (items, None)


def test_documents_without_titles_have_no_queries_of_titles() -> None:
    _, found = split_validation(documents(400, titled=False), 30, 3)
    assert found is not None
    assert sorted(found.pairs) == ["crops", "halves"]


def test_a_text_is_a_query_or_an_answer_once() -> None:
    same = [DocumentItem(("one and the same", f"e{n} x")) for n in range(300)]
    assert split_validation(same, 30, 3)[1] is None


def test_the_mean_of_mrr_is_over_kinds() -> None:
    crops = [(f"q{n} a", f"q{n} b") for n in range(40)]
    titles = [(f"t{n}", f"t{n} b") for n in range(20)]
    chosen = ValidationSet({"crops": crops, "titles": titles}, 40)
    assert chosen.score(ByDocument()) == {"crops": 1, "titles": 1, "mean": 1}
    scores = chosen.score(ByDocument(wrong=[title for title, _ in titles]))
    assert scores["crops"] == 1
    assert scores["titles"] < 0.5
    assert scores["mean"] == pytest.approx((1 + scores["titles"]) / 2)
