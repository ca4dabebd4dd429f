"""Compute exactly what sampled confidence discriminates: the mean of k numbers drawn from the
distribution over the scale, at any temperature, without drawing any.

The sum of k draws has the k-fold convolution of the distribution; AUROC2 is the chance that a right
answer's sum is larger than a wrong answer's, half for ties, and needs the mean distributions of
right and of wrong answers alone. So k draws of every question are averaged over all their outcomes.
Temperature T draws from p^(1/T), normalised: 0 is the most probable value always, 1 the model's own
distribution. As k grows the result goes to that of the expected confidence *at this temperature*.

Sign: above one half, right answers get the larger sum. The number assumes that a sampled reply is a
value of the scale, and sampled value by value; sampling token by token with a temperature gives
another distribution unless T is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure import Bootstrap, Estimate, bootstrap_counts
from workbench.measure.discrimination import Grouped, auroc2_of_groups, mean_over_domains
from workbench.measure.inputs import checked_domain
from workbench.measure.weighted import ratio

FINEST = 10_000
"""The most steps between the scale's smallest and largest value that sums are counted in."""


def tempered(distribution: Floats, temperature: float) -> Floats:
    """Return the distribution [..., values] at a temperature, normalised to the scale; at 0 the
    most probable values share all of it.

    Raises:
        WorkbenchError: for a negative temperature.
    """
    if temperature < 0:
        raise WorkbenchError(f"a temperature is 0 or above; got {temperature:g}")
    p = np.asarray(distribution, dtype=np.float64)
    top = p.max(axis=-1, keepdims=True)
    if temperature == 0:
        raised = (p == top).astype(np.float64)
    else:
        with np.errstate(divide="ignore"):
            raised = np.exp((np.log(p) - np.log(top)) / temperature)
    out: Floats = raised / raised.sum(axis=-1, keepdims=True)
    return out


def sum_distribution(distribution: Floats, values: Sequence[float], draws: int) -> Floats:
    """Return the distribution [n, sums] of the sum of ``draws`` independent values of each row of
    ``distribution`` [n, values], over equally spaced sums in rising order.

    Raises:
        WorkbenchError: for less than one draw, and values without a common step.
    """
    if draws < 1:
        raise WorkbenchError(f"a sampled confidence is the mean of at least one draw; got {draws}")
    places = _places(values)
    spread = np.zeros((len(distribution), places[-1] + 1))
    spread[:, places] = distribution
    size = draws * places[-1] + 1
    found = np.fft.irfft(np.fft.rfft(spread, 2 * size) ** draws, 2 * size)[:, :size]
    return np.clip(found, 0.0, None)


def _places(values: Sequence[float]) -> list[int]:
    """Return each value's distance from the first in the largest common step."""
    exact = [Fraction(value).limit_denominator(FINEST) for value in values]
    whole = lcm(*(value.denominator for value in exact))
    steps = [int((value - exact[0]) * whole) for value in exact]
    common = gcd(*steps) or 1
    if steps[-1] // common > FINEST:
        raise WorkbenchError(
            f"the values of this scale have no common step that divides it into {FINEST} or fewer"
        )
    return [step // common for step in steps]


class SampledAuroc2:
    """AUROC2 of sampled confidence as a function of how often each question is counted: [r, n] ->
    [r].

    Counts meet either every pair's chance that the right answer gets the larger sum, or all
    answers' sums, whichever is smaller.
    """

    def __init__(self, sums: Floats, correct: Bools) -> None:
        self._right, self._wrong = np.flatnonzero(correct), np.flatnonzero(~correct)
        self._sums = sums[self._right], sums[self._wrong]
        pairs = len(self._right) * len(self._wrong)
        self._wins = _wins(*self._sums) if pairs <= sums.size else None

    def __call__(self, counts: Floats) -> Floats:
        right, wrong = counts[:, self._right], counts[:, self._wrong]
        if self._wins is None:
            return auroc2_of_groups(Grouped(right @ self._sums[0], wrong @ self._sums[1]))
        wins = ((right @ self._wins) * wrong).sum(axis=1)
        return ratio(wins, right.sum(axis=1) * wrong.sum(axis=1))


def _wins(right: Floats, wrong: Floats) -> Floats:
    """Return the chance [right, wrong] that the one's sum is larger, half for ties, from the
    distributions [right, sums] and [wrong, sums].
    """
    found: Floats = right @ (wrong.cumsum(axis=1) - wrong / 2).T
    return found


class SampledAuroc2Within:
    """The plain mean over domains, as a function of counts [r, n] -> [r]; a domain with one class
    only is left out.
    """

    def __init__(self, sums: Floats, correct: Bools, codes: np.ndarray) -> None:
        self._members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
        self._domains = [SampledAuroc2(sums[rows], correct[rows]) for rows in self._members]

    def __call__(self, counts: Floats) -> Floats:
        return mean_over_domains(self._domains, self._members, counts)


def sampled_auroc2(
    distribution: ArrayLike,
    values: Sequence[float],
    correct: ArrayLike,
    draw: Bootstrap,
    *,
    draws: int,
    temperature: float = 1.0,
    domain: ArrayLike | None = None,
) -> Estimate:
    """Return the expected AUROC2 of the mean of ``draws`` sampled confidences, with its interval
    over questions; within domain where ``domain`` [n] is given.

    Args:
        distribution: [n, values] of each held-out question; it need not sum to 1.
    """
    p, labels = np.asarray(distribution, dtype=np.float64), np.asarray(correct, dtype=bool)
    sums = sum_distribution(tempered(p, temperature), values, draws)
    statistic = (
        SampledAuroc2(sums, labels)
        if domain is None
        else SampledAuroc2Within(sums, labels, checked_domain(domain, len(labels)))
    )
    found = bootstrap_counts({"auroc2": statistic}, len(labels), strata=domain, **draw.options)
    return found["auroc2"]
