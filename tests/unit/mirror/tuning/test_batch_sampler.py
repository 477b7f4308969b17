from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mirror.tuning.batch_sampler import batch_count, epoch_batches


@given(st.integers(2, 300), st.integers(2, 40), st.integers(0, 3))
def test_an_epoch_has_full_batches_and_each_string_at_most_once(
    strings: int, batch_size: int, epoch: int
) -> None:
    batches = list(epoch_batches(strings, batch_size, seed=1, epoch=epoch))
    drawn = [index for batch in batches for index in batch]
    assert len(batches) == batch_count(strings, batch_size) == strings // batch_size
    assert {len(batch) for batch in batches} <= {batch_size}
    assert len(set(drawn)) == len(drawn)
    assert set(drawn) <= set(range(strings))


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    orders = {
        tuple(map(tuple, epoch_batches(40, 10, seed, epoch))) for seed in (1, 2) for epoch in (0, 1)
    }
    assert len(orders) == 4
