"""Items of tuning that share texts: they are never each other's negatives."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

MOST = 0.5
"""Share of the items in one group from which it is warned of."""
SHOWN = 60
"""Characters of a shared text that a message shows."""


@dataclass(frozen=True)
class SharedTexts:
    """Groups of items that share a text, directly or through others."""

    items: int
    largest: int
    """Items of the largest group."""
    sharing: float
    """Share of all pairs of two items that are in one group."""
    example: str
    """The text that most items have."""

    @property
    def largest_share(self) -> float:
        """The share of the items that are in the largest group."""
        return self.largest / self.items if self.items else 0.0

    def expected_negatives(self, batch_size: int) -> float:
        """Return the mean number of an item's negatives in a batch drawn at random."""
        return (batch_size - 1) * (1 - self.sharing)

    def lacks_negatives(self, batch_size: int) -> bool:
        """Return whether most items are one group and a batch has no negative for an item."""
        return self.largest_share > MOST and self.expected_negatives(batch_size) < 1

    def describe(self, unit: str) -> str:
        """Return how many items are in the largest group, in words; `unit` is what they are."""
        count = "all" if self.largest == self.items else f"{self.largest:,} of the"
        shown = self.example[:SHOWN]
        return f"{count} {self.items:,} {unit} share a text with each other, most often {shown!r}"


def find_shared_texts(items: Iterable[Sequence[str]]) -> SharedTexts:
    """Return the groups of items, each given by its texts; an item without texts is alone."""
    parents: list[int] = []
    first_with: dict[str, int] = {}
    counts: Counter[str] = Counter()

    def root(item: int) -> int:
        while parents[item] != item:
            parents[item] = item = parents[parents[item]]
        return item

    for item, texts in enumerate(items):
        parents.append(item)
        for text in dict.fromkeys(texts):
            counts[text] += 1
            parents[root(item)] = root(first_with.setdefault(text, item))
    sizes = Counter(map(root, range(len(parents)))).values()
    pairs = len(parents) * (len(parents) - 1)
    return SharedTexts(
        items=len(parents),
        largest=max(sizes, default=0),
        sharing=sum(size * (size - 1) for size in sizes) / max(pairs, 1),
        example=max(counts, key=lambda text: (counts[text], text), default=""),
    )
