"""Measure, on pairs of questions, what a cut or a swap does to the confidence that tells them
apart, and simulate such pairs.

Questions are paired half of all ranks apart in stated confidence, so that a change of the general
level, the same for all, cancels. Of a pair's difference in confidence, *lost* is the share that is
gone with attention edges cut or a state noised in both (0: none; 1: all; negative: it grew), and
*carried* the share that one question's state takes along into the other (0: nothing moved; 1: all
the way). Both are ratios of means over pairs, with Student's t interval of the linearised ratio
over pairs; a pair is one observation.

Not shown: what a question's confidence shares with its partner's, or why it differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from scipy.stats import t as student

from workbench.arrays import Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.settings.defaults import LEVEL


@dataclass(frozen=True, eq=False)
class ConfidencePairs:
    """Readings of the stated confidence of [n] questions.

    Attributes:
        base: as the model states it.
        partner: which question is paired with each, both ways.
        cut: by name, with edges cut or states noised.
        swapped: by name, with the partner's states.
    """

    base: Floats
    partner: Rows
    cut: Mapping[str, Floats]
    swapped: Mapping[str, Floats] = field(default_factory=dict)

    def __post_init__(self) -> None:
        everyone = np.arange(len(self.base))
        if not np.array_equal(self.partner[self.partner], everyone) or np.any(
            self.partner == everyone
        ):
            raise WorkbenchError("Questions are paired two by two; a partner's partner is itself.")

    @property
    def lower(self) -> Rows:
        """The question of each pair with the lower confidence, [pairs]."""
        sure, other = self.base, self.base[self.partner]
        everyone = np.arange(len(sure))
        return np.flatnonzero((sure < other) | ((sure == other) & (everyone < self.partner)))

    def between(self, readings: Floats) -> Floats:
        """Return the higher minus the lower question's reading of each pair, [pairs]."""
        return np.asarray(readings[self.partner[self.lower]] - readings[self.lower])

    def lost(self, name: str) -> Floats:
        """Return what of each pair's difference is gone, [pairs], in units of confidence."""
        return self.between(self.base) - self.between(self.cut[name])

    def carried(self, name: str) -> Floats:
        """Return how far the partner's state moves a question towards it, the mean of both of a
        pair, [pairs].
        """
        moved = self.swapped[name] - self.base
        return (moved[self.lower] - moved[self.partner[self.lower]]) / 2

    def share(self, amount: Floats) -> Estimate:
        """Return the mean of ``amount`` [pairs] over the pairs' mean difference."""
        return ratio_of_means(amount, self.between(self.base))


def ratio_of_means(amount: Floats, whole: Floats) -> Estimate:
    """Return mean ``amount`` over mean ``whole``, [n] each, with Student's t interval of the
    linearised ratio; without one for fewer than three rows or a whole of zero.
    """
    n, mean = len(whole), float(whole.mean())
    if n < 3 or mean <= 0:
        nan = float("nan")
        return Estimate(float(amount.mean()) / mean if mean > 0 else nan, nan, nan, n)
    value = float(amount.mean()) / mean
    error = float((amount - value * whole).std(ddof=1)) / mean / np.sqrt(n)
    half = float(student.ppf((1 + LEVEL) / 2, n - 1)) * error
    return Estimate(value, value - half, value + half, n)


@dataclass(frozen=True)
class PairLaw:
    """How a simulated world reads: what each cut loses, and what each swap carries; all others
    nothing. Readings have noise of 0.3 of the spread of confidence.
    """

    lost: Mapping[str, float] = field(default_factory=dict)
    carried: Mapping[str, float] = field(default_factory=dict)


NOISE = 0.3


def simulate_pairs(
    rng: np.random.Generator,
    questions: int,
    law: PairLaw,
    cuts: tuple[str, ...],
    swaps: tuple[str, ...],
) -> ConfidencePairs:
    """Draw the readings of one world, of an even number of ``questions``."""
    count = questions // 2 * 2
    base = rng.standard_normal(count)
    order = np.argsort(base)
    partner = np.empty(count, dtype=np.int64)
    partner[order] = np.roll(order, count // 2)

    def noise() -> Floats:
        return NOISE * rng.standard_normal(count)

    cut = {name: base * (1 - law.lost.get(name, 0.0)) + noise() for name in cuts}
    away = base[partner] - base
    swapped = {name: base + law.carried.get(name, 0.0) * away + noise() for name in swaps}
    return ConfidencePairs(base, partner, cut, swapped)
