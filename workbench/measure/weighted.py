"""Write statistics as functions of how often each answer is counted: counts [r, c] -> values [r].

Ones give the value itself; bootstrap counts give one value per resample, all at once. Undefined
values (nothing counted) are NaN.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats

CountStatistic = Callable[[Floats], Floats]
Result = TypeVar("Result")
FEWEST = 5
"""Answers apart from all others below which AUROC2 has no interval."""


class Latest(Generic[Result]):
    """A ``function`` of counts that remembers its latest result, for metrics that share an
    intermediate step.

    The same array object gives the remembered result; counts must not be changed in place.
    """

    def __init__(self, function: Callable[[Floats], Result]) -> None:
        self._function = function
        self._latest: tuple[Floats, Result] | None = None

    def __call__(self, counts: Floats) -> Result:
        if self._latest is None or self._latest[0] is not counts:
            self._latest = (counts, self._function(counts))
        return self._latest[1]


def once(statistic: CountStatistic, answers: ArrayLike) -> float:
    """Return ``statistic`` of ``answers`` [n] with each counted once."""
    return float(statistic(np.ones((1, np.asarray(answers).shape[0])))[0])


def mean_of(values: Floats) -> CountStatistic:
    """Return the mean of ``values`` [c], without those that are NaN."""
    known = ~np.isnan(values)
    weight, filled = known.astype(np.float64), np.where(known, values, 0.0)

    def mean(counts: Floats) -> Floats:
        return ratio(counts @ filled, counts @ weight)

    return mean


class PointOnly:
    """A statistic that is given without an interval, because none is known that covers it."""

    def __init__(self, statistic: CountStatistic) -> None:
        self._statistic = statistic

    def __call__(self, counts: Floats) -> Floats:
        return self._statistic(counts)

    def of(self, counted: CountStatistic) -> PointOnly:
        """Return the same as a function of counts that ``counted`` adds up to its own."""
        return PointOnly(lambda counts: self._statistic(counted(counts)))


class OwnBounds(ABC):
    """A statistic that bounds itself, without resamples, because resampling would add the noise
    that its value is cleared of once more.
    """

    @abstractmethod
    def __call__(self, counts: Floats) -> Floats:
        """Return the value [r] under ``counts`` [r, c]."""

    @abstractmethod
    def bounds(self, counts: Floats, level: float) -> tuple[float, float]:
        """Return the interval of the value under ``counts`` [1, c]; NaN where there is none."""

    def of(self, counted: CountStatistic) -> OwnBounds:
        """Return the same as a function of counts that ``counted`` adds up to its own."""
        return _SummedBounds(self, counted)


class _SummedBounds(OwnBounds):
    def __init__(self, inner: OwnBounds, counted: CountStatistic) -> None:
        self._inner, self._counted = inner, counted

    def __call__(self, counts: Floats) -> Floats:
        return self._inner(self._counted(counts))

    def bounds(self, counts: Floats, level: float) -> tuple[float, float]:
        return self._inner.bounds(self._counted(counts), level)


class Counting:
    """A ``statistic`` with a ``count`` of answers beside it, which decides about its interval."""

    def __init__(self, statistic: CountStatistic, count: CountStatistic) -> None:
        self._statistic, self.count = statistic, count

    def __call__(self, counts: Floats) -> Floats:
        return self._statistic(counts)

    def of(self, counted: CountStatistic) -> Self:
        """Return the same as a function of counts that ``counted`` adds up to its own."""
        return type(self)(
            lambda counts: self._statistic(counted(counts)),
            lambda counts: self.count(counted(counts)),
        )


class WithEnough(Counting):
    """A statistic that has an interval only where at least ``FEWEST`` answers could tell anything:
    resampling two of them finds two facts at most.
    """

    @property
    def told(self) -> CountStatistic:
        """How many answers could tell anything: [r, c] -> [r]."""
        return self.count


class OverFewer(Counting):
    """A statistic that is a mean over some of the answers alone, as many as are counted: its spread
    is known no better than so few know it.
    """


def has_enough(statistic: CountStatistic, everyone: Floats) -> bool:
    """Return whether enough answers tell anything for ``statistic`` to have an interval; one that
    has no ``told`` always has.
    """
    told: CountStatistic | None = getattr(statistic, "told", None)
    return told is None or float(told(everyone)[0]) >= FEWEST


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return the elementwise quotient [r]; NaN where nothing was counted."""
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator > 0
    )


def summed(values: Floats, starts: NDArray[np.int64]) -> Floats:
    """Return the sums of ``values`` [r, c] over the runs of columns that begin at ``starts`` [v]:
    [r, v].
    """
    return values if len(starts) == values.shape[1] else np.add.reduceat(values, starts, axis=1)
