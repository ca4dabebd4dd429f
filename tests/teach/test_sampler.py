from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from workbench.teach.sampler import WINDOWS, SeededOrder, WholeBatches


def padded(order: list[int], sizes: np.ndarray, batch: int) -> int:
    batches = [sizes[order[at : at + batch]] for at in range(0, len(order), batch)]
    return int(sum(len(each) * each.max() for each in batches))


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=80),
    batch=st.integers(1, 16),
    seed=st.integers(0, 2**31),
)
def test_every_row_comes_once_an_epoch(sizes: list[int], batch: int, seed: int) -> None:
    sampler = SeededOrder(sizes, batch, seed)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        order = list(sampler)
        assert sorted(order) == list(range(len(sizes)))
        assert list(sampler) == order


def test_seed_and_epoch_decide_the_order() -> None:
    sizes = np.arange(400) % 90
    sampler = SeededOrder(sizes, 8, seed=5)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    assert list(SeededOrder(sizes, 8, seed=6)) not in (first, list(sampler))
    assert list(SeededOrder(sizes, 8, seed=5)) == first


def test_windows_save_padding_and_keep_batches_mixed() -> None:
    """Lengths of four domains: nearly no padding beyond the true tokens, and hardly a batch of
    one domain.
    """
    rng = np.random.default_rng(0)
    domain = np.arange(400) % 4
    sizes = 40 + 10 * (domain // 2) + rng.integers(0, 8, 400)
    order = list(SeededOrder(sizes, 8, seed=0))
    at_random = rng.permutation(400).tolist()
    assert padded(order, sizes, 8) < 1.05 * sizes.sum() < padded(at_random, sizes, 8)
    batches = np.array(order).reshape(-1, 8)
    assert np.mean([len(set(domain[batch].tolist())) == 1 for batch in batches]) < 0.1


def test_rows_left_over_from_whole_batches_come_last_whatever_their_length() -> None:
    sizes = np.arange(1, 404)
    last = {tuple(sorted(list(SeededOrder(sizes, 8, seed=seed))[400:])) for seed in range(5)}
    assert len(last) == 5


def test_rows_of_one_length_come_in_any_order() -> None:
    sampler = SeededOrder([7] * 64, 8, seed=0)
    assert sampler.windows == 1
    assert SeededOrder(list(range(64)), 8, seed=0).windows == WINDOWS
    assert list(sampler) != sorted(sampler)


def test_neighbouring_seeds_share_no_epochs_order() -> None:
    orders = set()
    for seed in range(3):
        sampler = SeededOrder([7] * 64, 8, seed)
        for epoch in range(4):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
    assert len(orders) == 12


def test_batches_of_several_processes_are_whole() -> None:
    """63 rows in batches of 8: one number more, above all rows, which stands for a row."""
    order = SeededOrder([7] * 63, 8, seed=0)
    filled = WholeBatches(order)
    for epoch in range(2):
        filled.set_epoch(epoch)
        numbers, rows = list(filled), list(order)
        assert len(numbers) == len(filled) == 64
        assert numbers[:63] == rows
        assert numbers[63] == 63 + rows[0]
    assert list(WholeBatches(SeededOrder([7] * 64, 8, seed=0))) == list(
        SeededOrder([7] * 64, 8, seed=0)
    )
    assert list(WholeBatches(SeededOrder([7], 4, seed=0))) == [0, 1, 1, 1]
