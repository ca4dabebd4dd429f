"""Test whether scores tell right from wrong answers within domain, against shuffled grades.

Within a domain of n answers, m right and k wrong, every assignment of the grades to the scores is
equally likely where the scores say nothing. AUROC2 then has mean 1/2 and variance
``S / (m k n (n - 1))``, with S the sum of squared deviations of the scores' mid-ranks: the exact
moments of the permutation distribution, ties included. The macro mean over domains has the mean of
the variances over the number of domains. A domain's base rate cannot move it.

``extra`` is for scores that a training made. A function trained on shuffled targets is fixed once
it is trained, so on new questions it tells right from wrong a little, in either direction, by the
chance of what it learnt. Its variance is added to that of the grades.

:func:`within_tests` looks at the scores of many layers at once. The largest z over the layers is
compared with the largest z of each permutation of the grades, so its p-values hold for "at some
layer".

Sign: z above 0 means that right answers got the higher score. The test does not show how large the
difference is, and z is close to normal only where a few dozen answers are graded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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


def within_tests(
    scores: Floats,
    correct: ArrayLike,
    domain: ArrayLike,
    *,
    extra: float,
    permutations: int,
    seed: int,
) -> tuple[WithinTest, ...]:
    """Test the ``scores`` [n, layers] of every layer; the p-values are corrected for all layers.

    Every layer's z counts the ``extra`` spread, which the layers of one training share.
    """
    codes = checked_domain(domain, len(scores))
    _, labels = checked(np.zeros(len(scores)), correct)
    plain = [within_test(column, labels, codes, extra=extra) for column in scores.T]
    found = within_permutations(scores, labels, codes, permutations=permutations, seed=seed)
    largest = found.max(axis=1)
    return tuple(
        replace(one, p=float((1 + (largest >= one.z - 1e-12).sum()) / (permutations + 1)))
        for one in plain
    )


def within_permutations(
    scores: Floats, correct: Bools, codes: Codes, *, permutations: int, seed: int
) -> Floats:
    """Return z [permutations, layers] of ``scores`` [n, layers] under grades shuffled within
    domain, the same shuffle for all layers.
    """
    rng = np.random.default_rng(seed)
    total = np.zeros((permutations, scores.shape[1]))
    variance = np.zeros(scores.shape[1])
    for code in np.unique(codes):
        rows = codes == code
        right, n = int(correct[rows].sum()), int(rows.sum())
        wrong = n - right
        if not right or not wrong:
            continue
        ranks = rankdata(scores[rows], axis=0)
        ranks -= ranks.mean(axis=0)
        labels = rng.permuted(np.tile(correct[rows], (permutations, 1)), axis=1)
        # The mid-ranks of the right answers, centred, add up to their wins over one half.
        total += labels.astype(np.float64) @ ranks / (right * wrong)
        variance += (ranks**2).sum(axis=0) / (right * wrong * n * (n - 1))
    spread = np.sqrt(variance)
    return np.divide(total, spread, out=np.zeros(total.shape), where=variance > EMPTY)


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
