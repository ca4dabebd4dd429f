from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize

from workbench.measure.meta_d_fit import Ratings, _slope, least_surprise, surprise

TABLES = [
    ([[52, 32, 35, 37, 26, 12, 4, 2], [2, 5, 15, 22, 33, 38, 40, 45]], 1.54, 0.1),
    ([[100, 50, 20, 10, 5, 1], [3, 7, 8, 12, 27, 89]], 2.5, -0.3),
    ([[9.5, 4.25, 3.25, 1.25], [1.25, 3.25, 4.25, 9.5]], 0.9, 0.0),
]


@pytest.mark.parametrize(("table", "d_prime", "criterion"), TABLES)
def test_the_slope_is_that_of_differences(
    table: list[list[float]], d_prime: float, criterion: float
) -> None:
    ratings = Ratings(np.array(table, dtype=float), d_prime, criterion)
    at = np.r_[0.8, np.linspace(-1.5, 0.2, 2 * (ratings.levels - 1))]
    slope, curvature = _slope(at, ratings)
    assert slope == pytest.approx(approx_fprime(at, surprise, 1e-6, ratings), abs=1e-2, rel=1e-3)
    assert np.linalg.eigvalsh(curvature).min() > -1e-9


@pytest.mark.parametrize(("table", "d_prime", "criterion"), TABLES)
@pytest.mark.parametrize("fixed", [False, True])
def test_the_least_is_that_of_a_general_optimiser(
    table: list[list[float]], d_prime: float, criterion: float, fixed: bool
) -> None:
    ratings = Ratings(np.array(table, dtype=float), d_prime, criterion)
    start = np.r_[1.0, np.full(2 * (ratings.levels - 1), -1.0)]
    at, value = least_surprise(start, ratings, meta_fixed=fixed)

    def along(free: np.ndarray) -> float:
        return surprise(np.r_[1.0, free] if fixed else free, ratings)

    other = minimize(along, start[1:] if fixed else start, method="BFGS", options={"gtol": 1e-7})
    assert value == pytest.approx(other.fun, abs=1e-6)
    assert value == surprise(at, ratings)
    assert not fixed or at[0] == 1.0
