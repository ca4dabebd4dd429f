"""Fit meta-d': how much type-1 sensitivity would explain the confidence ratings of an ideal
observer (Maniscalco and Lau 2012)?

A two-choice task: stimulus S1 or S2, a choice, a rating from 1 to K. Equal-variance signal
detection gives d' and criterion c from the choices; meta-d' and 2 (K - 1) rating criteria are
fitted to the ratings by maximum likelihood, conditional on the choice, with the criterion kept at
the same relative place, meta-c = c meta-d' / d'. M-ratio = meta-d' / d': 1 when ratings use all the
information of the choice, below 1 when they lose some, above 1 when they have more. In units of the
noise's standard deviation. The interval of meta-d' is where the profile likelihood stays within the
level's chi-squared bound; a side without bound is infinite, as where a handful of ratings differ
from the rest. The likelihood of an empty cell is undefined: with any, 1 / (2 K) is added to all, as
in the authors' code. :func:`meta_d_of_correctness` is for answers that are only right or wrong:
without choices to tell apart, an unbiased chooser is assumed, d' = 2 z(accuracy), right and wrong
ratings shared evenly between S1 and S2. For open questions that d' is another name for accuracy,
not a sensitivity; compare M-ratios only between readouts of the same questions. Undefined (NaN)
unless d' > 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, ndtri

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.inputs import checked
from workbench.measure.interval import Estimate
from workbench.measure.meta_d_fit import Ratings, least_surprise
from workbench.settings.defaults import LEVEL

STEPS = 4
_FARTHEST = 8.0
# Below this the ratio divides by almost nothing.
_SMALLEST_D = 0.05


@dataclass(frozen=True)
class MetaD:
    """The fit of meta-d': ``d_prime``, ``criterion``, ``meta_d`` with its interval, and the
    log-likelihood of the ratings; ``m_ratio`` follows.
    """

    d_prime: float
    criterion: float
    meta_d: Estimate
    log_likelihood: float

    @property
    def m_ratio(self) -> Estimate:
        """The ratio meta-d' / d', with d' taken as known. The interval is that of meta-d' alone, so
        it is a little too narrow.
        """
        value = self.meta_d
        if not self.d_prime > 0:
            return Estimate(*(float("nan"),) * 3, n=value.n)
        return Estimate(
            value.value / self.d_prime, value.low / self.d_prime, value.high / self.d_prime, value.n
        )


def undefined_meta_d(n: int) -> MetaD:
    """Return the undefined fit of ``n`` answers that cannot be fitted."""
    return MetaD(float("nan"), float("nan"), Estimate(*(float("nan"),) * 3, n=n), float("nan"))


def meta_d(counts_s1: ArrayLike, counts_s2: ArrayLike, *, level: float = LEVEL) -> MetaD:
    """Fit meta-d' to the rating counts of the trials of each stimulus, each [2 K].

    Both run from "S1 with highest rating" over "S1, lowest", "S2, lowest" to "S2, highest".

    Raises:
        WorkbenchError: for counts of unequal or odd length, and without trials of both stimuli.
    """
    table = np.stack(
        [np.asarray(counts_s1, dtype=np.float64), np.asarray(counts_s2, dtype=np.float64)]
    )
    if table.ndim != 2 or table.shape[1] < 4 or table.shape[1] % 2 or (table < 0).any():
        raise WorkbenchError(
            "meta-d' needs two rows of counts of one even length of at least 4: choice x rating"
        )
    if (table.sum(axis=1) == 0).any():
        raise WorkbenchError("meta-d' needs trials of both stimuli")
    levels, n = table.shape[1] // 2, round(float(table.sum()))
    if (table == 0).any():
        table = table + 1 / (2 * levels)
    z_false, z_hit = ndtri(table[:, levels:].sum(axis=1) / table.sum(axis=1))
    d_prime, criterion = float(z_hit - z_false), float(-(z_hit + z_false) / 2)
    if d_prime < _SMALLEST_D:
        return replace(undefined_meta_d(n), d_prime=d_prime, criterion=criterion)
    return _fit(table, d_prime, criterion, n, level)


def meta_d_of_choices(
    stimulus: ArrayLike,
    choice: ArrayLike,
    rating: ArrayLike,
    *,
    levels: int = STEPS,
    level: float = LEVEL,
) -> MetaD:
    """Fit meta-d' to ``stimulus`` [n] and ``choice`` [n] (False = S1, True = S2) and ``rating`` [n]
    (any scale, NaN skipped).

    Ratings are cut into at most ``levels`` steps of equal mass, ties together.
    """
    scores, shown = checked(rating, stimulus)
    _, chosen = checked(rating, choice)
    known = ~np.isnan(scores)
    step, levels = rating_steps(scores[known], levels)
    column = np.where(chosen[known], levels + step, levels - 1 - step)
    counts = [np.bincount(column[shown[known] == s], minlength=2 * levels) for s in (False, True)]
    return meta_d(*counts, level=level)


def meta_d_of_correctness(
    confidence: ArrayLike, correct: ArrayLike, *, levels: int = STEPS, level: float = LEVEL
) -> MetaD:
    """Fit meta-d' to ``confidence`` [n] (any scale, NaN skipped) and ``correct`` [n] of an unbiased
    chooser.

    It is NaN where accuracy does not exceed one half, all are right or wrong, or one confidence was
    given throughout.
    """
    scores, labels = checked(confidence, correct)
    known = ~np.isnan(scores)
    scores, labels = scores[known], labels[known]
    if not labels.any() or labels.all() or len(np.unique(scores)) < 2:
        return undefined_meta_d(len(scores))
    step, levels = rating_steps(scores, levels)
    right, wrong = (
        np.bincount(step[labels == which], minlength=levels) / 2 for which in (True, False)
    )
    return meta_d(np.r_[right[::-1], wrong], np.r_[wrong[::-1], right], level=level)


def rating_steps(scores: Floats, levels: int) -> tuple[NDArray[np.int64], int]:
    """Cut ``scores`` [n] into steps 0.. of equal mass, at most ``levels``, ties together; return
    the steps and their number.

    With no more distinct scores than ``levels`` each is its own step.

    Raises:
        WorkbenchError: for fewer than two levels, and fewer than two different ratings.
    """
    if levels < 2:
        raise WorkbenchError(f"meta-d' needs at least two rating steps; got {levels}")
    values, inverse, count = np.unique(scores, return_inverse=True, return_counts=True)
    if len(values) < 2:
        raise WorkbenchError("meta-d' needs at least two different ratings")
    if len(values) <= levels:
        return inverse.astype(np.int64), len(values)
    middle = (np.cumsum(count) - count / 2) / count.sum()
    part = np.unique(
        np.minimum((middle * levels).astype(np.int64), levels - 1), return_inverse=True
    )[1]
    if part.max() == 0:
        # One value holds nearly everything: it against the rest.
        part = (
            values >= values[np.argmax(count)] if np.argmax(count) else values > values[0]
        ).astype(np.int64)
    return part[inverse].astype(np.int64), int(part.max()) + 1


def _fit(table: Floats, d_prime: float, criterion: float, n: int, level: float) -> MetaD:
    ratings = Ratings(table, d_prime, criterion)
    steps = np.full(2 * (ratings.levels - 1), np.log(1 / ratings.levels))
    best, cost = min(
        (least_surprise(np.r_[d, steps], ratings) for d in (d_prime, d_prime / 4)),
        key=lambda found: found[1],
    )
    meta, limit = float(best[0]), cost + float(chdtri(1, 1 - level)) / 2
    low, high = (_crossing(_Profile(ratings, best, limit), meta, way) for way in (-1, 1))
    return MetaD(d_prime, criterion, Estimate(meta, low, high, n), -cost)


class _Profile:
    """A function that gives how far the best likelihood at a given meta-d' is below ``limit``. Each
    search starts where the one before ended.
    """

    def __init__(self, ratings: Ratings, best: Floats, limit: float) -> None:
        self._ratings, self._best, self._limit = ratings, best, limit

    def __call__(self, value: float) -> float:
        self._best, cost = least_surprise(
            np.r_[value, self._best[1:]], self._ratings, meta_fixed=True
        )
        return cost - self._limit


def _crossing(too_unlikely: Callable[[float], float], meta: float, way: int) -> float:
    """Return the meta-d' at which the profile likelihood leaves the interval, going ``way`` from
    ``meta``; infinite if it never does.
    """
    step = 0.25
    while step <= _FARTHEST:
        if too_unlikely(meta + way * step) > 0:
            return (
                float(
                    brentq(lambda distance: too_unlikely(meta + way * distance), 0, step, xtol=1e-3)
                )
                * way
                + meta
            )
        step *= 2
    return way * float("inf")
