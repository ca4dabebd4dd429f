from __future__ import annotations

import numpy as np
import pytest

from workbench.bottleneck.readout_rank import (
    effective_rank,
    participation_ratio,
    row_differences,
)

RNG = np.random.default_rng(0)


def test_equal_axes_count_fully_and_one_axis_once() -> None:
    rows = 3 * np.linalg.qr(RNG.standard_normal((12, 4)))[0].T
    for rank in (effective_rank, participation_ratio):
        assert rank(rows) == pytest.approx(4)
        assert rank(rows.T) == pytest.approx(4)
        assert rank(np.outer([1.0, 2.0, -4.0], rows[0])) == pytest.approx(1)
        assert np.isnan(rank(np.zeros((3, 5))))


def test_unequal_axes_count_by_their_squares() -> None:
    rows = np.diag([3.0, 1.0])
    shares = np.array([0.9, 0.1])
    assert effective_rank(rows) == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert participation_ratio(rows) == pytest.approx(1 / (0.81 + 0.01))


def test_what_moves_all_logits_alike_is_no_difference() -> None:
    rows = RNG.standard_normal((5, 8))
    moved = rows + RNG.standard_normal(8)
    np.testing.assert_allclose(row_differences(moved), row_differences(rows))
    assert np.linalg.matrix_rank(row_differences(rows)) == 4
    both = np.stack([rows, moved])
    np.testing.assert_allclose(row_differences(both)[1], row_differences(rows))
