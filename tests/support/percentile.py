"""Bound a statistic by its resampled values in a second way, for tests: sort, count, interpolate."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm, t

from workbench.arrays import Floats


def sorted_bounds(
    value: float, resampled: Floats, n: int, *, strata: int = 1
) -> tuple[float, float]:
    """Return the 95 % bounds of ``value`` from its ``resampled`` values [r], NaN left out, for
    ``n`` questions drawn within ``strata``.
    """
    drawn = np.sort(resampled[~np.isnan(resampled)])
    alike = np.isclose(drawn, value, rtol=0, atol=1e-11)
    share = ((drawn < value) & ~alike).mean() + alike.mean() / 2
    lean = min(max(norm.ppf(share), -0.5), 0.5)
    away = t.ppf(0.975, n - strata) * np.sqrt(n / (n - strata))
    ranks = norm.cdf([2 * lean - away, 2 * lean + away]) * (len(drawn) + 1)
    low, high = np.interp(ranks, np.arange(1, len(drawn) + 1), drawn)
    return float(low), float(high)
