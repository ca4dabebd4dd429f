"""Compute means over pairs of questions, as a function of how often each question is counted.

A question is in several pairs, so pairs are no independent draws: questions are resampled, and a
pair weighs the product of the counts of its two questions (the pigeonhole bootstrap, Owen 2007), as
if the drawn questions had been paired again. An interval from it is conservative: noise that
belongs to a pair, and to neither of its questions, counts up to three times.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.measure.weighted import CountStatistic, ratio


def mean_of_pairs(
    values: Floats, first: NDArray[np.int64], second: NDArray[np.int64]
) -> CountStatistic:
    """Return the mean of ``values`` [pairs] (NaN left out) of the pairs of questions ``first`` and
    ``second`` [pairs], columns of the counts.
    """
    known = np.flatnonzero(~np.isnan(values))
    used, one, other = values[known], first[known], second[known]

    def mean(counts: Floats) -> Floats:
        weight = counts[:, one] * counts[:, other]
        return ratio(weight @ used, weight.sum(axis=1))

    return mean
