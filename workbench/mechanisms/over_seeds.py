"""Combine a quantity that several runs measured, one a seed, and say how far the seeds lie apart.

Each run gives a value with an interval over questions. The mean over S seeds has the interval

    mean ± sqrt(q² + (1.96 s)² / S),

where q is the mean distance of the runs' bounds from their values, on each side, and s the standard
deviation over seeds. Taking q whole is right where all seeds asked the same questions, and errs on
the wide side where they asked others, for s then holds the questions' part as well. Records keep no
resamples, so the joint bootstrap of :mod:`workbench.measure.seed_intervals` cannot be made of them.
With two or three seeds s is itself hardly known. One seed has the interval of its run, and shows
nothing about seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.settings.defaults import LEVEL


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds.

    Attributes:
        estimate: the mean with its interval; ``n`` is the smallest number of questions.
        seeds: how many.
        deviation: standard deviation (n - 1) of the values over seeds; NaN for one.
    """

    estimate: Estimate
    seeds: int
    deviation: float


def mean_over_seeds(estimates: Sequence[Estimate]) -> SeedMean:
    """Return the mean of one estimate a seed.

    Raises:
        WorkbenchError: for none.
    """
    if not estimates:
        raise WorkbenchError("A mean over seeds needs at least one estimate.")
    value, low, high = (
        np.array([getattr(each, end) for each in estimates]) for end in ("value", "low", "high")
    )
    questions = min(each.n for each in estimates)
    if len(estimates) == 1:
        return SeedMean(estimates[0], 1, float("nan"))
    mean, deviation = float(value.mean()), float(value.std(ddof=1))
    seeds = (norm.ppf((1 + LEVEL) / 2) * deviation) ** 2 / len(value)
    below, above = (np.sqrt(np.mean(side) ** 2 + seeds) for side in (value - low, high - value))
    return SeedMean(
        Estimate(mean, mean - float(below), mean + float(above), questions), len(value), deviation
    )
