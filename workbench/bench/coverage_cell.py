"""Count how often an interval missed the truth, in the tables of one law and size."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.measure.shares import wilson_interval


@dataclass(frozen=True)
class Cell:
    """What became of one interval in the tables of one law and size.

    Attributes:
        low, high: tables in which the truth lay below, and above, the interval.
        intervals: tables in which it was defined, of ``tables``.
        width: mean width of those.
        error: mean of the value minus the truth.
    """

    law: str
    n: int
    measure: str
    truth: float
    tables: int
    intervals: int
    low: int
    high: int
    width: float
    error: float

    @property
    def missed(self) -> float:
        """The share of misses; NaN where no interval was defined."""
        return (self.low + self.high) / self.intervals if self.intervals else float("nan")

    @property
    def bounds(self) -> tuple[float, float]:
        """The 95 % binomial (Wilson) interval of the share of misses."""
        low, high = wilson_interval([self.low + self.high], [self.intervals])
        return float(low[0]), float(high[0])
