"""Compute the exact variance of AUROC2 without resampling (DeLong, DeLong and Clarke-Pearson 1988),
and that of paired differences.

A right answer's placement is the share of wrong answers with less confidence (ties half), a wrong
answer's the share of right ones with more; AUROC2 is the mean of either. With m right and k wrong
answers the influence of answer i is (placement - AUROC2) / sqrt(m (m - 1)) if right, / sqrt(k (k -
1)) if wrong; Var = sum influence^2, Cov(a, b) = sum influence_a influence_b. With one set of grades
this is DeLong's estimator term by term; with each run's own grades (a retrained model answers anew)
it is its extension. Placements come from mid-ranks (Sun and Xu 2014): O(n log n), so a million
answers need no resampling. The variance is a sum of squares over right answers and one over wrong
ones, so a few of either know it badly: intervals take Student's t with the degrees of freedom of
Satterthwaite's formula, as the rank test of Brunner and Munzel (2000) does; over domains the same
formula adds up all their classes. At thousands of answers that is the normal interval, at 100 in
eight domains some 4 % wider. The paired difference over all questions keeps DeLong's own normal
interval, which fits its p. Intervals are cut at 0 and 1. They are undefined where the variance is
zero (AUROC2 of 0 or 1), fewer than five answers stand apart from the most frequent confidence, or a
class has fewer than two answers: bounds are NaN there. Questions are taken as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtrit
from scipy.stats import norm, rankdata

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.inputs import checked, checked_domain
from workbench.measure.interval import Estimate
from workbench.measure.weighted import FEWEST
from workbench.settings.defaults import LEVEL


@dataclass(frozen=True)
class Spread:
    """The variance of a value and the degrees of freedom with which it is known; infinitely many
    make the interval a normal one.
    """

    variance: float
    freedom: float = np.inf


UNKNOWN = Spread(float("nan"))


@dataclass(frozen=True)
class DeLongDifference:
    """A paired difference: AUROC2 of a and of b on the ``n`` questions parsed in both, a minus b,
    and the two-sided p of no difference.
    """

    first: float
    second: float
    difference: Estimate
    p_value: float


def delong(confidence: ArrayLike, correct: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Return AUROC2 of ``confidence`` [n] (NaN skipped) against ``correct`` [n] with DeLong's
    interval.
    """
    scores, labels = checked(confidence, correct)
    parsed = ~np.isnan(scores)
    area, influence = _influence(scores[parsed], labels[parsed])
    enough = _apart(scores[parsed]) >= FEWEST
    spread = _spread([(influence, labels[parsed])]) if enough else UNKNOWN
    return _interval(area, spread, int(parsed.sum()), level, (0.0, 1.0))


def delong_within(
    confidence: ArrayLike, correct: ArrayLike, domain: ArrayLike, *, level: float = LEVEL
) -> Estimate:
    """Return the plain mean of AUROC2 over domains with both classes; domains are independent, so
    variances add.
    """
    scores, labels = checked(confidence, correct)
    codes = checked_domain(domain, len(scores))
    parsed = ~np.isnan(scores)
    order = np.flatnonzero(parsed)[np.argsort(codes[parsed], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    areas, known = [], []
    for rows in parts:
        area, influence = _influence(scores[rows], labels[rows])
        if not np.isnan(area):
            areas.append(area)
            known.append((influence, labels[rows]))
    if not areas:
        return Estimate(float("nan"), float("nan"), float("nan"), int(parsed.sum()))
    enough = sum(_apart(scores[rows]) for rows in parts) >= FEWEST
    spread = _spread(known) if enough else UNKNOWN
    return _interval(float(np.mean(areas)), spread, int(parsed.sum()), level, (0.0, 1.0))


def delong_difference(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    correct: ArrayLike,
    *,
    correct_b: ArrayLike | None = None,
    level: float = LEVEL,
) -> DeLongDifference:
    """Return AUROC2 of a minus AUROC2 of b on those of the same questions [n] that were parsed in
    both.

    ``correct_b`` grades b's answers where the two runs answered differently; otherwise both are
    judged by ``correct``.

    Raises:
        WorkbenchError: if the two confidences differ in length.
    """
    first, labels = checked(confidence_a, correct)
    second, labels_b = checked(confidence_b, correct if correct_b is None else correct_b)
    if first.shape != second.shape:
        raise WorkbenchError(
            f"paired confidences have {len(first)} and {len(second)} rows; align them by question"
        )
    both = ~np.isnan(first) & ~np.isnan(second)
    area_a, influence_a = _influence(first[both], labels[both])
    area_b, influence_b = _influence(second[both], labels_b[both])
    variance = float(((influence_a - influence_b) ** 2).sum())
    difference = _interval(area_a - area_b, Spread(variance), int(both.sum()), level, (-1.0, 1.0))
    z = abs(area_a - area_b) / np.sqrt(variance) if variance > 0 else np.nan
    return DeLongDifference(area_a, area_b, difference, float(2 * norm.sf(z)))


def delong_within_difference(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike,
    *,
    level: float = LEVEL,
) -> Estimate:
    """Return the mean within-domain AUROC2 of a minus that of b, paired, over the domains with both
    classes among the questions parsed in both.

    Bounds are NaN where the two order every domain alike.

    Raises:
        WorkbenchError: if the two confidences differ in length.
    """
    first, labels = checked(confidence_a, correct)
    second, _ = checked(confidence_b, correct)
    if first.shape != second.shape:
        raise WorkbenchError(
            f"paired confidences have {len(first)} and {len(second)} rows; align them by question"
        )
    codes = checked_domain(domain, len(first))
    both = ~np.isnan(first) & ~np.isnan(second)
    gaps, known = [], []
    for code in np.unique(codes[both]):
        rows = both & (codes == code)
        area_a, influence_a = _influence(first[rows], labels[rows])
        area_b, influence_b = _influence(second[rows], labels[rows])
        if not np.isnan(area_a):
            gaps.append(area_a - area_b)
            known.append((influence_a - influence_b, labels[rows]))
    if not gaps:
        return Estimate(float("nan"), float("nan"), float("nan"), int(both.sum()))
    return _interval(float(np.mean(gaps)), _spread(known), int(both.sum()), level, (-1.0, 1.0))


def _spread(known: Sequence[tuple[Floats, Bools]]) -> Spread:
    """Return the spread of the mean over domains from the influence [n] and the grades [n] of each
    domain's answers.
    """
    classes = [
        (float((influence[chosen] ** 2).sum()), int(chosen.sum()) - 1)
        for influence, labels in known
        for chosen in (labels, ~labels)
    ]
    variances, freedoms = (np.array(column) for column in zip(*classes, strict=True))
    total = float(variances.sum())
    if not total > 0:
        return Spread(total)
    return Spread(total / len(known) ** 2, total**2 / float((variances**2 / freedoms).sum()))


def _apart(scores: Floats) -> int:
    """Return how many of ``scores`` differ from the most frequent one."""
    count = np.unique(scores, return_counts=True)[1]
    return int(count.sum() - count.max(initial=0))


def _influence(scores: Floats, labels: Bools) -> tuple[float, Floats]:
    """Return AUROC2 and the influence [n] of each answer on it; NaN where a class is missing or has
    one answer only.
    """
    right, wrong = scores[labels], scores[~labels]
    m, k = len(right), len(wrong)
    influence = np.full(len(scores), np.nan)
    if not m or not k:
        return float("nan"), influence
    ranks = rankdata(scores)
    of_right = (ranks[labels] - rankdata(right)) / k
    of_wrong = 1 - (ranks[~labels] - rankdata(wrong)) / m
    area = float(of_right.mean())
    if m > 1 and k > 1:
        influence[labels] = (of_right - area) / np.sqrt(m * (m - 1))
        influence[~labels] = (of_wrong - area) / np.sqrt(k * (k - 1))
    return area, influence


def _interval(
    value: float, spread: Spread, n: int, level: float, limits: tuple[float, float]
) -> Estimate:
    if not 0 < level < 1:
        raise WorkbenchError(
            f"the level of an interval lies between 0 and 1, for example 0.95; got {level}"
        )
    # Rounding leaves a variance of 1e-30 where there is none.
    if not spread.variance > 1e-20:
        return Estimate(value, float("nan"), float("nan"), n)
    tail = (1 + level) / 2
    quantile = ndtri(tail) if np.isinf(spread.freedom) else stdtrit(spread.freedom, tail)
    half = float(quantile * np.sqrt(spread.variance))
    return Estimate(value, max(limits[0], value - half), min(limits[1], value + half), n)
