"""Measure what one score tells that another does not: AUROC2 of the residuals of one given the
other.

A score is regressed on the other one by least squares, cross-fitted by question
(:mod:`workbench.measure.cross_fit`), and AUROC2 of what is left over is taken against correctness,
or against any other outcome, such as whether the model passed. The outcome is never used in the
regression. Within domain, slopes are those within domains.

Sign: above .5 means that where the outcome held the score was higher than the other one let expect.

Ties: answers with one score have residuals in the (reversed) order of the other score alone. Where
more than half of all answers state one and the same confidence, the residual's AUROC2 is mostly the
other score's, jumps where the slope changes sign, and has no interval (``tied`` says how many do);
take the expected confidence, which hardly ever ties, in place of the stated one.

What a linear residual does not remove: a bent relation of the two scores (``left`` says how much of
the residual's variance a cubic spline of the other score still predicts on held-out questions), and
whatever the other score measures with error. Two noisy readings of one quantity each keep a
residual above .5; only where the residual is at .5 does the number say that nothing is left.

Intervals: the paired bootstrap over questions, the regression fitted again in each resample. That
sorts the residuals once per resample: for more than some 100,000 answers lower ``resamples``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Bools, Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import Bootstrap, bootstrap_counts
from workbench.measure.cross_fit import CrossFit, as_columns, folds_of
from workbench.measure.discrimination import (
    Auroc2,
    Auroc2Within,
    auroc2_of_rows,
    mean_of_defined,
)
from workbench.measure.inputs import checked, checked_domain
from workbench.measure.interval import Estimate
from workbench.measure.weighted import CountStatistic

KNOTS = 4
MOST_TIED = 0.5
"""The largest share of answers with one score with which a residual has an interval."""
_DIGITS = 10


@dataclass(frozen=True)
class Residual:
    """What is left of a score given another.

    Attributes:
        values: [n], mean zero over the rows that have both scores; NaN elsewhere.
        explained: share of the score's variance that the other one predicts, linearly, on held-out
            questions; below 0 where the regression predicts worse than the mean.
        left: share of ``values``' variance that a cubic spline of the other score still predicts on
            held-out questions: what a straight line did not take out.
        tied: share of answers with the most frequent score.
    """

    values: Floats
    explained: float
    left: float
    tied: float


@dataclass(frozen=True)
class Discrimination:
    """AUROC2 of one score, ``raw`` and ``residual`` given the other, and the same within domain
    (None without domains).
    """

    raw: Estimate
    residual: Estimate
    raw_within: Estimate | None
    residual_within: Estimate | None


@dataclass(frozen=True)
class ResidualDiscrimination:
    """What each of two scores tells alone and beyond the other: ``first`` (residual given the
    second), ``second`` (given the first), with what the regressions left.
    """

    first: Discrimination
    second: Discrimination
    first_given_second: Residual
    second_given_first: Residual


def residual_discrimination(
    first: ArrayLike,
    second: ArrayLike,
    outcome: ArrayLike,
    domain: ArrayLike | None,
    draw: Bootstrap,
    *,
    ids: ArrayLike | None = None,
) -> ResidualDiscrimination:
    """Measure how well ``first`` [n] and ``second`` [n] (any scales, NaN skipped: only rows with
    both are used) tell ``outcome`` [n] (0/1), raw and each given the other.

    Args:
        ids: [n] question ids; rows of one question share a fold. Without them each row is one.

    Raises:
        WorkbenchError: for scores of different length, or fewer than ten rows with both.
    """
    one, held = checked(first, outcome)
    other, _ = checked(second, outcome)
    both = ~np.isnan(one) & ~np.isnan(other)
    if both.sum() < 2 * KNOTS + 2:
        raise WorkbenchError(
            f"{int(both.sum())} questions have both scores, too few for a residual; ask more"
        )
    fold = folds_of(len(one) if ids is None else ids)[both]
    codes = None if domain is None else checked_domain(domain, len(one))[both]
    one, other, held = one[both], other[both], held[both]
    return ResidualDiscrimination(
        _measured(one, other, held, fold, codes, draw),
        _measured(other, one, held, fold, codes, draw),
        _put_back(residual_of(one, other, fold), both),
        _put_back(residual_of(other, one, fold), both),
    )


def _measured(
    score: Floats, given: Floats, outcome: Bools, fold: Rows, codes: Rows | None, draw: Bootstrap
) -> Discrimination:
    pooled = bootstrap_counts(
        {"raw": Auroc2(score, outcome), "residual": ResidualAuroc2(score, given, outcome, fold)},
        len(score),
        **draw.options,
    )
    within: Mapping[str, Estimate] = {}
    if codes is not None:
        statistics: dict[str, CountStatistic] = {
            "raw": Auroc2Within(score, outcome, codes),
            "residual": ResidualAuroc2(score, given, outcome, fold, codes),
        }
        within = bootstrap_counts(statistics, len(score), strata=codes, **draw.options)
    return Discrimination(
        pooled["raw"], pooled["residual"], within.get("raw"), within.get("residual")
    )


class ResidualAuroc2:
    """AUROC2 of ``score`` [n] given ``given`` [n] or [n, p] against ``outcome`` [n], as a function
    of counts: [r, n] -> [r]; each row of counts fits its own regressions.

    Args:
        fold: [n]; None does not cross-fit.
        codes: [n] domains; with them slopes are within-domain and AUROC2 is the mean over domains.
    """

    def __init__(
        self,
        score: Floats,
        given: ArrayLike,
        outcome: Bools,
        fold: Rows | None,
        codes: Rows | None = None,
    ) -> None:
        self._fit = CrossFit(score, as_columns(given), fold, codes)
        self._outcome = outcome
        groups = np.zeros(len(score), dtype=np.int64) if codes is None else codes
        self._members = [np.flatnonzero(groups == code) for code in np.unique(groups)]
        self._raw = Auroc2Within(score, outcome, groups)
        self._tied = _tied(score)
        self._unit = float(np.abs(score).max(initial=0.0)) or 1.0

    def __call__(self, counts: Floats) -> Floats:
        # Rows that are equal must tie, whatever the order of additions did to their last digit.
        residual = np.round(self._fit.residual(counts) / self._unit, _DIGITS)
        return mean_of_defined(
            [
                auroc2_of_rows(residual[:, rows], self._outcome[rows], counts[:, rows])
                for rows in self._members
            ]
        )

    def told(self, counts: Floats) -> Floats:
        """Return how many answers [r] stand apart from the most frequent score (of their domain);
        none where that is the score of more than half, for the residual is then the other score's.
        """
        return np.where(self._tied <= MOST_TIED, self._raw.told(counts), 0.0)


def residual_of(score: Floats, given: Floats, fold: Rows) -> Residual:
    """Return the cross-fitted residual of ``score`` [n] given ``given`` [n], neither with gaps."""
    everyone = np.ones((1, len(score)))
    fit = CrossFit(score, as_columns(given), fold)
    values = fit.residual(everyone)[0]
    values = values - values.mean()
    error = fit.target - fit.predicted(everyone)[0]
    bent = CrossFit(values, _spline(given), fold).predicted(everyone)[0]
    return Residual(values, _share(score, error), _share(values, values - bent), _tied(score))


def _tied(score: Floats) -> float:
    return float(np.unique(score, return_counts=True)[1].max(initial=0)) / max(len(score), 1)


def _share(values: Floats, error: Floats) -> float:
    total = float(((values - values.mean()) ** 2).sum())
    return 1 - float((error**2).sum()) / total if total > 0 else float("nan")


def _spline(given: Floats) -> Floats:
    """Return the columns [n, k] of a cubic spline of ``given`` [n] with knots at its quantiles."""
    from sklearn.preprocessing import SplineTransformer

    spline = SplineTransformer(
        n_knots=KNOTS, degree=3, knots="quantile", extrapolation="linear", include_bias=False
    )
    found: Floats = spline.fit_transform(given[:, None])
    return found


def _put_back(found: Residual, rows: Bools) -> Residual:
    values = np.full(len(rows), np.nan)
    values[rows] = found.values
    return replace(found, values=values)
