"""Estimate a distance that noise can only lengthen, such as a calibration error, and bound it.

ECE is a sum of |parts|, one part a bin; reliability and resolution are sums of squared parts. Noise
in the parts lengthens the sum: a perfect forecast of 100 answers has an ECE near 0.1. A percentile
interval is then wrong twice, for resampling adds the noise once more to parts that hold it already.

Here the noise is what resampling adds, and the question is asked the other way round: how long are
the true parts, if with such noise they come out as long as was seen? True parts are looked for on
one path, the observed ones each pulled towards zero (or pushed out) by t of its standard errors.
The bounds are the lengths of the two sets of parts with which a length as great as the one seen,
or as small, would have the chance (1 - level) / 2; zero where even no true parts at all make it no
surprise. The debiased value is the length of those whose expected length is the one seen; it is
zero where noise alone explains all. The interval covers the true distance; it need not contain the
plug-in value, which is the length as seen. A difference of two distances has no interval: both lean
by their own noise, and no way of bounding it has been measured to cover.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from workbench.arrays import Floats
from workbench.measure.weighted import CountStatistic, Latest, OverFewer, OwnBounds, PointOnly

Power = Literal[1, 2]
_FARTHEST = 8.0
_HALVINGS = 20


@dataclass(frozen=True)
class Noise:
    """What is known of some parts: the ``observed`` ones [k] and how they ``moved`` [r, k] when
    resampled; ``power`` says whether their sizes or their squares are summed.
    """

    observed: Floats
    moved: Floats
    power: Power

    @property
    def length(self) -> float:
        return float(length(self.observed, self.power))

    @cached_property
    def error(self) -> Floats:
        """The standard error of each part [k]."""
        return np.asarray(self.moved.std(axis=0))

    def pulled(self, by: float) -> Floats:
        """Return the observed parts, each pulled towards zero ``by`` its standard errors; pushed
        out for a negative one.
        """
        size = np.maximum(np.abs(self.observed) - by * self.error, 0)
        return np.sign(self.observed) * size

    def resampled(self, by: float) -> Floats:
        """Return the lengths [r] that parts pulled ``by`` so many errors have with the noise."""
        return length(self.pulled(by) + self.moved, self.power)

    @property
    def to_nothing(self) -> float:
        """How many errors pull every part to zero."""
        moves = self.error > 0
        return float((np.abs(self.observed[moves]) / self.error[moves]).max(initial=0.0))

    def find(self, chance: Callable[[Floats], float], wanted: float) -> float | None:
        """Return the pull at which ``chance`` of the resampled lengths falls to ``wanted``; None
        where it is greater even with every part at zero.
        """
        low, high = -_FARTHEST, self.to_nothing
        if chance(self.resampled(high)) > wanted:
            return None
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if chance(self.resampled(middle)) > wanted:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    @cached_property
    def debiasing_pull(self) -> float:
        """The pull of the parts whose expected length is the observed one."""
        found = self.find(lambda lengths: float(lengths.mean()), self.length)
        return self.to_nothing if found is None else found


def length(parts: Floats, power: Power) -> Floats:
    """Return the sum of sizes, or of squares, over the last axis."""
    size = np.abs(parts) if power == 1 else parts**2
    return np.asarray(size.sum(axis=-1))


def debiased(noise: Noise) -> float:
    """Return the debiased distance."""
    return float(length(noise.pulled(noise.debiasing_pull), noise.power))


def distance_bounds(noise: Noise, out: float) -> tuple[float, float]:
    """Return the bounds outside which lies a share ``out`` on each side."""
    seen, slack = noise.length, 1e-12

    def as_long(lengths: Floats) -> float:
        return float((lengths >= seen - slack).mean())

    def longer(lengths: Floats) -> float:
        return float((lengths > seen + slack).mean())

    # Where no pull does, all parts that have an error at all are zero.
    pulls = [
        noise.to_nothing if found is None else found
        for found in (noise.find(as_long, out), noise.find(longer, 1 - out))
    ]
    low, high = (float(length(noise.pulled(by), noise.power)) for by in pulls)
    low = min(low, high)
    return (low if low > slack else 0.0), high


class Distance:
    """A distance as a function of counts: [r, c] -> [r], the length of ``parts`` ([r, c] ->
    [r, k]); with ``debias`` its estimate is the debiased value, else the plug-in one.
    """

    def __init__(self, parts: CountStatistic, power: Power = 1, *, debias: bool = False) -> None:
        self.parts, self.power, self.debias = parts, power, debias

    def __call__(self, counts: Floats) -> Floats:
        return length(self.parts(counts), self.power)

    def of(self, counted: CountStatistic) -> Distance:
        """Return the same distance as a function of counts that ``counted`` adds up to its own."""
        return Distance(
            Latest(lambda counts: self.parts(counted(counts))), self.power, debias=self.debias
        )

    def estimate(self, observed: Floats, moved: Floats, out: float) -> tuple[float, float, float]:
        """Return value, low and high of ``observed`` parts [k] that resampling ``moved`` [r, k]."""
        noise = Noise(observed, moved, self.power)
        return (debiased(noise) if self.debias else noise.length, *distance_bounds(noise, out))


def minus(first: CountStatistic, second: CountStatistic) -> CountStatistic:
    """Return ``first`` minus ``second``, both under the same counts; without an interval where they
    are distances, bound themselves, or have none.
    """

    def difference(counts: Floats) -> Floats:
        return first(counts) - second(counts)

    if isinstance(first, Distance | OwnBounds | PointOnly):
        return PointOnly(difference)
    if isinstance(first, OverFewer) and isinstance(second, OverFewer):
        one, other = first.count, second.count
        return OverFewer(difference, lambda counts: np.minimum(one(counts), other(counts)))
    return difference
