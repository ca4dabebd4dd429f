from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from workbench.experiments.known_circuits.measures import (
    agreement,
    estimate,
    first_above,
    shift_of,
)
from workbench.measure import Bootstrap

DRAW = Bootstrap(200, 0)


def test_agreement_is_of_means_over_pairs_and_its_slope_is_by_hand() -> None:
    rng = np.random.default_rng(0)
    estimates, effects = rng.normal(size=(12, 4, 3)), rng.normal(size=(12, 4, 3))
    rho, slope = agreement(estimates, effects, DRAW)
    x, y = (part.mean(axis=0).ravel() for part in (estimates, effects))
    assert rho.value == pytest.approx(spearmanr(x, y).statistic)
    assert slope.value == pytest.approx((x @ y) / (x @ x))
    assert rho.low <= rho.value <= rho.high
    assert rho.n == 12
    same, double = agreement(estimates, 2 * estimates, DRAW)
    assert (same.value, same.low, same.high) == pytest.approx((1, 1, 1))
    assert (double.value, double.low, double.high) == pytest.approx((2, 2, 2))


def test_the_first_layer_above_zero_and_none() -> None:
    """Means over pairs are -1, 0.5, 2 and -1, -1, 0."""
    layers = np.array([0.0, 4.0, 9.0])
    above = np.array([[-2.0, 2.0, 2.0], [0.0, -1.0, 2.0]])
    assert estimate(first_above(above, layers), 2, DRAW).value == 4
    never = np.array([[-1.0, -1.0, 0.0], [-1.0, -1.0, 0.0]])
    assert np.isnan(estimate(first_above(never, layers), 2, DRAW).value)


def test_a_shift_is_a_ratio_of_means() -> None:
    """(1 + 3) / (2 + 6), not the mean of 1/2 and 3/6."""
    assert estimate(shift_of(np.array([1.0, 2.0]), np.array([2.0, 6.0])), 2, DRAW).value == 3 / 8
