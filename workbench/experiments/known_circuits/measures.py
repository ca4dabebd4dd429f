"""Statistics of resampled pairs: how far a reading moved, from which layer on, and how well the
gradient ranks the cells.

Each takes how often every pair was drawn, [draws, pairs], so that all of them hold on the same
resamples (:func:`workbench.measure.bootstrap_counts`).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from workbench.api.results import ALIKE
from workbench.arrays import Floats
from workbench.measure import Bootstrap, Estimate, bootstrap_counts
from workbench.patch.verification import rank_correlation, slope_through_origin

Statistic = Callable[[Floats], Floats]


def estimate(statistic: Statistic, pairs: int, draw: Bootstrap) -> Estimate:
    """Estimate a statistic of all pairs with its interval."""
    return bootstrap_counts({"": statistic}, pairs, **draw.options)[""]


def agreement(estimates: Floats, effects: Floats, draw: Bootstrap) -> tuple[Estimate, Estimate]:
    """Return Spearman's rho over cells of the mean estimate with the mean effect, and the slope of
    effect on estimate through the origin; both [pairs, ...] with the same cells.
    """
    x, y = (part.reshape(len(part), -1) for part in (estimates, effects))

    def of_means(statistic: Callable[[Floats, Floats], Floats]) -> Estimate:
        return estimate(lambda counts: statistic(counts @ x, counts @ y), len(x), draw)

    return of_means(rank_correlation), of_means(slope_through_origin)


def first_above(further: Floats, layers: Floats) -> Statistic:
    """Return the statistic that finds the first of ``layers`` at which the mean of ``further``
    [pairs, layers] is above zero; NaN where it never is.
    """

    def statistic(counts: Floats) -> Floats:
        above = counts @ further > 0
        return np.where(above.any(axis=1), layers[above.argmax(axis=1)], np.nan)

    return statistic


def shift_of(moved: Floats, span: Floats) -> Statistic:
    """Return the statistic that divides the mean of ``moved`` [pairs] by the mean of ``span``
    [pairs]; NaN where donor and base read alike.
    """

    def statistic(counts: Floats) -> Floats:
        distance = counts @ span
        with np.errstate(invalid="ignore", divide="ignore"):
            shift = (counts @ moved) / distance
        return np.where(np.abs(distance) > ALIKE * counts.sum(axis=1), shift, np.nan)

    return statistic
