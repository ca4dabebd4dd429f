from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from workbench.probe.site_rows import SiteRows, bytes_of_rows, open_rows

ROWS, WIDTH = 150, 7
STATES = (np.random.default_rng(0).normal(size=(ROWS, WIDTH)) * 3 + 1000 * np.arange(WIDTH)).astype(
    np.float32
)
ORDER = np.random.default_rng(1).permutation(ROWS)


def opened(memory: int) -> SiteRows:
    """Rows that come in another order than their numbers, as shards give them."""

    def read(most: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for start in range(0, ROWS, most):
            at = ORDER[start : start + most]
            yield at, torch.from_numpy(STATES[at])

    return open_rows(read, ROWS, WIDTH, memory, 20)


@pytest.mark.parametrize("memory", [bytes_of_rows(ROWS, WIDTH), 1])
def test_products_and_moments_are_those_of_numpy(memory: int) -> None:
    rows = opened(memory)
    assert (rows.held is None) == (memory == 1)
    exact = STATES.astype(np.float64)
    standard = (exact - exact.mean(0)) / exact.std(0)
    np.testing.assert_allclose(rows.mean, exact.mean(0), rtol=1e-12)
    np.testing.assert_allclose(rows.scale, exact.std(0), rtol=1e-6)
    rng = np.random.default_rng(2)
    weights, residuals = rng.normal(size=(4, WIDTH)), rng.normal(size=(4, ROWS))
    times = rows.times(torch.from_numpy(weights))
    np.testing.assert_allclose(times, weights @ standard.T, atol=5e-3)
    sums = rows.sums(torch.from_numpy(residuals))
    np.testing.assert_allclose(sums, residuals @ standard, atol=2e-2)
    splits = np.stack([np.arange(ROWS) % 2 == 0, np.arange(ROWS) < 40])
    mean, scale = rows.moments(torch.from_numpy(splits))
    for which, split in enumerate(splits):
        np.testing.assert_allclose(mean[which], standard[split].mean(0), atol=2e-3)
        np.testing.assert_allclose(scale[which], standard[split].std(0), rtol=1e-3)


def test_both_ways_sample_the_same_rows() -> None:
    held, streamed = opened(10**6), opened(1)
    np.testing.assert_allclose(held.sample, streamed.sample, atol=1e-6)
    assert len(held.sample) == 20


def test_going_through_leaves_the_callers_array_as_it_was() -> None:
    def read(most: int) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for start in range(0, ROWS, most):
            rows = np.arange(start, min(start + most, ROWS))
            yield rows, torch.from_numpy(STATES[start : start + most])

    before = STATES.copy()
    for memory in (10**6, 1):
        rows = open_rows(read, ROWS, WIDTH, memory, 20)
        first = rows.times(torch.ones((1, WIDTH)))
        torch.testing.assert_close(rows.times(torch.ones((1, WIDTH))), first, rtol=0, atol=0)
        np.testing.assert_array_equal(STATES, before)
