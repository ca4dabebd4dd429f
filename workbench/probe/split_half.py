"""Compare two directions of a residual stream although both are estimated with noise: their cosine,
corrected for how well each is known.

A direction is fitted on the states and values of some questions, by ridge regression (a *probe*) or
as the covariance of states and value (a *mean difference*: of grades it is the difference of right
and wrong questions' mean states). Noise pulls the cosine of two fitted directions towards 0, so a
small cosine may only say that neither is known. Both are therefore fitted on each half of the
questions, a1, a2 and b1, b2, over several random halvings:

    reliability of a  = mean cos(a1, a2)
    corrected cosine  = mean (a1·b2 + a2·b1) / 2 / sqrt(mean a1·a2 · mean b1·b2)

which is 1 where both are one direction up to noise, and 0 where they are orthogonal, whatever the
number of questions. Only directions of different halves are multiplied: fitted on the same
questions, both would share the noise of those. This is Spearman's correction for attenuation, with
directions in place of scores. What it corrects towards is the direction that a fit of this penalty
to half of the questions has on average; a strong penalty pulls both towards axes of large variance.

The interval is a jackknife's: a block of questions at a time is left out of the same halvings, and
Student's t has a degree of freedom less than there are blocks. A jackknife errs on the wide side
for products of this kind, where a bootstrap, which repeats questions, was found too narrow by a
third. It is undefined where a reliability is not positive without every block, for then there is no
direction to compare. Sign: a positive cosine means that both values rise along one way. A cosine of
0 does not show that the two values are unrelated over questions: where states are correlated, two
probes can read much the same along orthogonal weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve
from scipy.special import stdtrit

from workbench.arrays import Bools, Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.settings.defaults import LEVEL

FEWEST = 20


@dataclass(frozen=True, eq=False)
class Target:
    """States [n, width] of questions and the values [n] that a direction is fitted to, both less
    their means; ``penalty`` of the ridge regression on all n questions, None for the mean
    difference.
    """

    states: Floats
    values: Floats
    penalty: float | None

    def __post_init__(self) -> None:
        if self.states.ndim != 2 or self.values.shape != self.states.shape[:1]:
            raise WorkbenchError(
                f"a direction is fitted to states [questions, width] and a value each; got "
                f"{self.states.shape} and {self.values.shape}"
            )
        if self.penalty is not None and not self.penalty > 0:
            raise WorkbenchError(f"a penalty is above 0; got {self.penalty}")

    def direction(self, rows: Rows) -> Floats:
        """Fit the direction [width] on the questions ``rows``; its penalty is
        scaled to their number.
        """
        states = self.states[rows]
        values = self.values[rows] - self.values[rows].mean()
        states = states - states.mean(axis=0)
        if self.penalty is None:
            return np.asarray(values @ states / len(rows))
        penalty = self.penalty * len(rows) / len(self.values)
        n, width = states.shape
        if n < width:
            gram = states @ states.T
            gram[np.diag_indices(n)] += penalty
            return np.asarray(solve(gram, values, assume_a="pos") @ states)
        product = states.T @ states
        product[np.diag_indices(width)] += penalty
        return np.asarray(solve(product, values @ states, assume_a="pos"))


@dataclass(frozen=True)
class ComparedDirections:
    """Two directions compared.

    Attributes:
        cosine: of both fitted on all questions, uncorrected.
        corrected: the cosine corrected for the reliabilities, cut at -1 and 1.
        first, second: the reliability of each on half of the questions.
    """

    cosine: float
    corrected: Estimate
    first: Estimate
    second: Estimate


@dataclass(frozen=True)
class _Products:
    """Mean products over halvings."""

    across: float
    first: float
    second: float
    first_cosine: float
    second_cosine: float

    @property
    def corrected(self) -> float:
        known = self.first * self.second
        if not (self.first > 0 and self.second > 0):
            return float("nan")
        return float(self.across / np.sqrt(known))


def compare_directions(
    first: Target, second: Target, *, halvings: int, blocks: int, seed: int
) -> ComparedDirections:
    """Compare the directions of two targets of the same questions, in this order of rows.

    Args:
        halvings: random halvings that every number is a mean over.
        blocks: blocks of questions that are left out in turn; with none there is no interval.

    Raises:
        WorkbenchError: for targets of different shape and fewer than 20 questions.
    """
    n = len(first.values)
    if first.states.shape != second.states.shape:
        raise WorkbenchError(
            f"directions of states {first.states.shape} and {second.states.shape} cannot be "
            "compared"
        )
    if n < FEWEST:
        raise WorkbenchError(f"directions of {n} questions; halves need at least {FEWEST} in all")
    rng = np.random.default_rng(seed)
    sides = np.stack([rng.permutation(n) < n // 2 for _ in range(halvings)])
    block_of = rng.permutation(n) % blocks if blocks else np.zeros(n, dtype=np.int64)
    everyone = np.ones(n, dtype=np.bool_)
    found = _products(first, second, sides, everyone)
    without = [_products(first, second, sides, block_of != block) for block in range(blocks)]
    every = np.arange(n)
    return ComparedDirections(
        float(cosine_of(first.direction(every), second.direction(every))),
        _estimate(found.corrected, [each.corrected for each in without], n),
        _estimate(found.first_cosine, [each.first_cosine for each in without], n),
        _estimate(found.second_cosine, [each.second_cosine for each in without], n),
    )


def cosine_of(a: Floats, b: Floats) -> float:
    """Return the cosine of two directions; NaN where one is zero."""
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else float("nan")


def _products(first: Target, second: Target, sides: Bools, kept: Bools) -> _Products:
    """Return the mean products over halvings ``sides`` [halvings, n] of the questions ``kept``
    [n].
    """
    sums = np.zeros(5)
    for side in sides:
        halves = [np.flatnonzero(half & kept) for half in (side, ~side)]
        a1, a2 = (first.direction(half) for half in halves)
        b1, b2 = (second.direction(half) for half in halves)
        across = (float(a1 @ b2) + float(a2 @ b1)) / 2
        within = float(a1 @ a2), float(b1 @ b2), cosine_of(a1, a2), cosine_of(b1, b2)
        sums += np.array([across, *within])
    return _Products(*(float(each) for each in sums / len(sides)))


def _estimate(value: float, without: list[float], n: int) -> Estimate:
    cut, blocks = float(np.clip(value, -1, 1)), len(without)
    if np.isnan(value) or blocks < 2 or np.isnan(without).any():
        return Estimate(cut, float("nan"), float("nan"), n)
    left = np.array(without)
    variance = (blocks - 1) / blocks * float(((left - left.mean()) ** 2).sum())
    half = float(stdtrit(blocks - 1, (1 + LEVEL) / 2)) * np.sqrt(variance)
    low, high = np.clip([value - half, value + half], -1, 1)
    return Estimate(cut, float(low), float(high), n)
