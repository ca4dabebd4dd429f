"""Measure a share of answers with Wilson's score interval.

A share is a count: resampling a table in which nobody, or everybody, said 90 or more would find no
spread at all, while Wilson's interval (1927) knows what the next answers could do. It has about its
level from ten trials on, and needs no resamples. It takes answers as independent: of a share within
drawn questions (several answers each) it is too narrow.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from workbench.arrays import Floats
from workbench.measure.weighted import CountStatistic, ratio
from workbench.settings.defaults import LEVEL


class Share:
    """The share of answers for which ``hits`` [c] is 1, not 0 (NaN = left out), as a function of
    counts: [r, c] -> [r]. Its interval is Wilson's, which needs no resampling.
    """

    def __init__(self, hits: Floats) -> None:
        known = ~np.isnan(hits)
        self._known, self._hits = known.astype(np.float64), np.where(known, hits, 0.0)

    def __call__(self, counts: Floats) -> Floats:
        return ratio(*self.of_trials(counts))

    def of_trials(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return the hits and the trials, each [r]."""
        return counts @ self._hits, counts @ self._known

    def of(self, counted: CountStatistic) -> Share:
        """Return the same share as a function of counts that ``counted`` adds up to its own."""
        return _SummedShare(self, counted)


class _SummedShare(Share):
    def __init__(self, inner: Share, counted: CountStatistic) -> None:
        self._inner, self._counted = inner, counted

    def of_trials(self, counts: Floats) -> tuple[Floats, Floats]:
        return self._inner.of_trials(self._counted(counts))


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, *, level: float = LEVEL
) -> tuple[Floats, Floats]:
    """Return the Wilson score interval of a share (Wilson 1927), elementwise; NaN where there were
    no trials.
    """
    n = np.asarray(trials, dtype=np.float64)
    z = float(norm.ppf((1 + level) / 2))
    safe = np.where(n > 0, n, np.nan)
    share = np.asarray(successes, dtype=np.float64) / safe
    centre = (share + z**2 / (2 * safe)) / (1 + z**2 / safe)
    half = z / (1 + z**2 / safe) * np.sqrt(share * (1 - share) / safe + z**2 / (4 * safe**2))
    return np.clip(centre - half, 0.0, 1.0), np.clip(centre + half, 0.0, 1.0)
