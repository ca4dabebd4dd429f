"""Compute a mean over training seeds, with an interval that covers other questions and other seeds.

Each resample draws questions with replacement and, independently, as many seeds as there are with
replacement. The mean of S seeds drawn from S varies about the mean of all of them by only (S - 1) /
S of what the mean of S fresh seeds would, so that distance is stretched by sqrt(S / (S - 1)); the
mean of all seeds on the resampled questions, which carries the questions' part, stays as it is.
The bounds are expanded, bias-corrected percentiles (:mod:`.percentile`), so that one seed has the
interval that a measure of it alone has; it shows nothing about seeds. With two or three their
spread is itself hardly known, so the interval may be far too narrow or too wide where seeds matter.
Stretching can only err on the wide side where seeds and questions interact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats
from workbench.measure.bootstrap import resampled_counts
from workbench.measure.distance import Distance
from workbench.measure.distinct_rows import one_cell_each
from workbench.measure.interval import Estimate
from workbench.measure.percentile import bounds
from workbench.measure.weighted import CountStatistic, PointOnly, has_enough
from workbench.settings.defaults import LEVEL

_SEEDS = 1  # a stream of random numbers apart from the one that draws questions by the same seed


def counted_questions(domain: ArrayLike, *, resamples: int, seed: int) -> Floats:
    """Return how often each question counts, [1 + resamples, n]: once, and then as drawn within its
    ``domain`` [n].
    """
    codes = np.asarray(domain)
    drawn = resampled_counts(
        one_cell_each(len(codes)), resamples=resamples, seed=seed, strata=codes
    )
    return np.concatenate([np.ones((1, len(codes))), *drawn])


def drawn_seeds(seeds: int, *, resamples: int, seed: int) -> NDArray[np.int64]:
    """Draw which seeds each resample takes: [resamples, seeds]."""
    return np.random.default_rng([seed, _SEEDS]).integers(seeds, size=(resamples, seeds))


def over_seeds(
    values: Floats,
    chosen: NDArray[np.int64],
    questions: int,
    limits: tuple[float, float] = (-np.inf, np.inf),
    *,
    strata: int = 1,
) -> Estimate:
    """Return the mean over seeds of ``values`` [seeds, 1 + resamples], and its interval, cut at the
    ``limits`` of what is possible.

    The first column is measured on the questions as they are, the others on resampled ones;
    ``chosen`` [resamples, seeds] is from :func:`drawn_seeds`; the questions were drawn within so
    many ``strata``. Resamples in which a seed's value is undefined are left out.
    """
    everyone = values[:, 1:].mean(axis=0)
    drawn = np.take_along_axis(values[:, 1:].T, chosen, axis=1).mean(axis=1)
    seeds = len(values)
    stretch = np.sqrt(seeds / (seeds - 1)) if seeds > 1 else 0.0
    resampled = everyone + stretch * (drawn - everyone)
    value = float(values[:, 0].mean())
    low, high = np.clip(bounds(value, resampled, LEVEL, questions, strata), *limits)
    return Estimate(value, float(low), float(high), questions)


def statistics_over_seeds(
    statistics: Sequence[CountStatistic | None],
    counts: Floats,
    chosen: NDArray[np.int64],
    limits: tuple[float, float] = (-np.inf, np.inf),
    *,
    strata: int = 1,
) -> Estimate:
    """Return the mean of one statistic a seed under the ``counts`` [1 + resamples, n] of
    :func:`counted_questions`, as :func:`over_seeds` does.

    It is undefined where a seed lacks its statistic (None). It has no interval where a seed has too
    few answers that tell anything, or a statistic whose interval no percentiles cover: a distance
    that noise lengthens (:mod:`.distance`), or one that has none alone.
    """
    unknown = np.full(len(counts), np.nan)
    if not all(one is None or _covered(one, counts[:1]) for one in statistics):
        values = np.stack([unknown[:1] if one is None else one(counts[:1]) for one in statistics])
        return Estimate(float(values.mean()), float("nan"), float("nan"), counts.shape[1])
    values = np.stack([unknown if one is None else one(counts) for one in statistics])
    return over_seeds(values, chosen, counts.shape[1], limits, strata=strata)


def _covered(statistic: CountStatistic, everyone: Floats) -> bool:
    """Return whether percentiles give ``statistic`` an interval that covers."""
    return not isinstance(statistic, Distance | PointOnly) and has_enough(statistic, everyone)
