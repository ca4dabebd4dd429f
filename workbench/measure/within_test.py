"""Test whether scores tell right from wrong answers within domain, against shuffled grades.

Within a domain of n answers, m right and k wrong, every assignment of the grades to the scores is
equally likely where the scores say nothing. AUROC2 then has mean 1/2 and variance
``S / (m k n (n - 1))``, with S the sum of squared deviations of the scores' mid-ranks: the exact
moments of the permutation distribution, ties included. The macro mean over domains has the mean of
the variances over the number of domains. A domain's base rate cannot move it.

``extra`` is for scores that a training made. A function trained on shuffled targets is fixed once
it is trained, so on new questions it tells right from wrong a little, in either direction, by the
chance of what it learnt. Its variance is added to that of the grades.

Sign: z above 0 means that right answers got the higher score. The test does not show how large the
difference is, and z is close to normal only where a few dozen answers are graded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, rankdata

from workbench.arrays import Bools, Floats
from workbench.measure.discrimination import auroc2_within
from workbench.measure.distinct_rows import Codes
from workbench.measure.inputs import checked, checked_domain

EMPTY = 1e-20
"""A variance below this is none: all scores are tied, or there is one class."""


@dataclass(frozen=True)
class WithinTest:
    """AUROC2 within domain beside what shuffled grades give.

    Attributes:
        value: macro mean over domains.
        spread: standard deviation under shuffled grades, with that of shuffled targets in it.
        z: (value - 1/2) / spread; 0 where the scores are all tied.
        p: one-sided, of a value as large.
    """

    value: float
    spread: float
    z: float
    p: float


def within_test(
    scores: ArrayLike, correct: ArrayLike, domain: ArrayLike, *, extra: float = 0.0
) -> WithinTest:
    """Test ``scores`` [n] (NaN skipped) against ``correct`` [n] within ``domain`` [n].

    Args:
        extra: standard deviation of AUROC2 between trainings on shuffled targets.
    """
    values, labels = checked(scores, correct)
    codes = checked_domain(domain, len(values))
    variance = shuffled_variance(values, labels, codes)
    value = auroc2_within(values, labels, codes)
    if np.isnan(value) or not variance > EMPTY:
        return WithinTest(value, float("nan"), 0.0, 1.0)
    spread = float(np.sqrt(variance + extra**2))
    z = (value - 0.5) / spread
    return WithinTest(value, spread, float(z), float(norm.sf(z)))


def shuffled_variance(scores: Floats, correct: Bools, codes: Codes) -> float:
    """Return the variance of AUROC2 within domain when grades are shuffled within domain; NaN where
    no domain has both classes.
    """
    parts = []
    for code in np.unique(codes):
        rows = (codes == code) & ~np.isnan(scores)
        right, n = int(correct[rows].sum()), int(rows.sum())
        wrong = n - right
        if not right or not wrong:
            continue
        ranks = rankdata(scores[rows])
        parts.append(((ranks - ranks.mean()) ** 2).sum() / (right * wrong * n * (n - 1)))
    return float(np.sum(parts)) / len(parts) ** 2 if parts else float("nan")


def training_spread(shuffled: ArrayLike, variance: float) -> float:
    """Return the standard deviation of AUROC2 between trainings on shuffled targets, beyond that of
    shuffled grades; 0 where they vary no more.

    Args:
        shuffled: [k] AUROC2 within domain of probes on shuffled labels, on the same questions.
        variance: what shuffled grades alone give there (:func:`shuffled_variance`).
    """
    found = np.asarray(shuffled, dtype=np.float64)
    found = found[~np.isnan(found)]
    if not len(found):
        return float("nan")
    return float(np.sqrt(max(0.0, float(np.mean((found - 0.5) ** 2)) - variance)))
