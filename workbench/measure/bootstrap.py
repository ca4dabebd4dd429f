"""Paired bootstrap over questions: how much would a number move with other questions of the same kind?

Questions are drawn with replacement, all their readouts together, so differences between readouts are paired. The interval is
the percentile interval of the resampled values. :func:`bootstrap` calls any statistic on resampled arrays;
:func:`bootstrap_counts` hands a vectorised statistic the number of times each question was drawn, [chunk, n], which for sums
and ranks is the same resample at a fraction of the cost. Both draw the same resamples from the same seed.
With ``strata`` every stratum keeps its size (drawn within domain). Undefined resamples (one class only) are left out.
What it does not show: error shared by all questions (prompt, training seed, grading).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError
from workbench.measure.discrimination import Auroc2, Auroc2Within
from workbench.measure.inputs import Floats, checked, checked_domain
from workbench.measure.interval import Estimate

CountStatistic = Callable[[Floats], Floats]
RESAMPLES = 2000
LEVEL = 0.95
_CELLS_PER_CHUNK = 500_000


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
) -> Estimate:
    """Estimate of ``statistic(*arrays)`` over resampled rows.

    Every array has the questions as its first axis [n, ...]; the statistic gets them indexed alike. ``strata`` [n] keeps the
    size of each stratum. Raises WorkbenchError for arrays of different length or no questions.
    """
    columns = [np.asarray(array) for array in arrays]
    if not columns or any(len(column) != len(columns[0]) for column in columns):
        raise WorkbenchError(f"bootstrap needs arrays with one row per question; got {[c.shape for c in columns]}")
    n = len(columns[0])
    values = [
        float(statistic(*(column[rows] for column in columns)))
        for chunk in resampled_rows(n, resamples=resamples, seed=seed, strata=strata)
        for rows in chunk
    ]
    return _estimate(float(statistic(*columns)), np.array(values), level, n)


def bootstrap_counts(
    statistics: Mapping[str, CountStatistic],
    n: int,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
    used: Mapping[str, int] | None = None,
) -> dict[str, Estimate]:
    """Estimates of several statistics of counts ([r, n] -> [r]) from the same resamples of ``n`` questions.

    ``used`` gives the number of questions a statistic really reads, for its estimate's ``n`` (default: all).
    """
    collected: dict[str, list[Floats]] = {name: [] for name in statistics}
    for rows in resampled_rows(n, resamples=resamples, seed=seed, strata=strata):
        counts = _counts(rows)
        for name, statistic in statistics.items():
            collected[name].append(statistic(counts))
    everyone = np.ones((1, n))
    return {
        name: _estimate(
            float(statistic(everyone)[0]), np.concatenate(collected[name]), level, (used or {}).get(name, n)
        )
        for name, statistic in statistics.items()
    }


def auroc2_estimate(
    confidence: ArrayLike, correct: ArrayLike, *, seed: int, resamples: int = RESAMPLES, level: float = LEVEL
) -> Estimate:
    """Pooled AUROC2 of ``confidence`` [n] (NaN skipped) with its interval; ``n`` counts the parsed answers."""
    scores, labels = checked(confidence, correct)
    return _single(Auroc2(scores, labels), scores, seed=seed, resamples=resamples, level=level, strata=None)


def auroc2_within_estimate(
    confidence: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> Estimate:
    """Mean within-domain AUROC2 with its interval, questions resampled within their domain [n]."""
    scores, labels = checked(confidence, correct)
    codes = checked_domain(domain, len(scores))
    statistic = Auroc2Within(scores, labels, codes)
    return _single(statistic, scores, seed=seed, resamples=resamples, level=level, strata=codes)


def auroc2_difference(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    correct: ArrayLike,
    domain: ArrayLike | None,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    correct_b: ArrayLike | None = None,
) -> Estimate:
    """AUROC2 of a minus AUROC2 of b on the same questions [n], paired; within domain when ``domain`` is given.

    Only questions that were parsed in both are compared, so that neither gains by failing on hard ones. ``correct_b`` is for
    runs whose answers differ (a retrained model answers anew); otherwise both are judged against ``correct``.
    """
    first, labels = checked(confidence_a, correct)
    second, labels_b = checked(confidence_b, correct if correct_b is None else correct_b)
    if first.shape != second.shape:
        raise WorkbenchError(f"paired confidences have {len(first)} and {len(second)} rows; align them by question")
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        return Estimate(float("nan"), float("nan"), float("nan"), 0)
    codes = None if domain is None else checked_domain(domain, len(first))[both]
    pair: list[CountStatistic] = []
    for scores, right in ((first[both], labels[both]), (second[both], labels_b[both])):
        pair.append(Auroc2(scores, right) if codes is None else Auroc2Within(scores, right, codes))

    def difference(counts: Floats) -> Floats:
        return pair[0](counts) - pair[1](counts)

    return _single(difference, first[both], seed=seed, resamples=resamples, level=level, strata=codes)


def resampled_rows(
    n: int, *, resamples: int, seed: int, strata: ArrayLike | None = None
) -> Iterator[NDArray[np.int64]]:
    """Chunks [chunk, n] of row indices drawn with replacement, within each stratum when ``strata`` [n] is given.

    A chunk holds at most half a million indices, so memory does not grow with the number of resamples.
    """
    if n < 1 or resamples < 1:
        raise WorkbenchError(f"cannot draw {resamples} resamples of {n} questions; both must be at least 1")
    rng = np.random.default_rng(seed)
    codes = np.zeros(n, dtype=np.int64) if strata is None else checked_domain(strata, n)
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    size = max(1, _CELLS_PER_CHUNK // n)
    for start in range(0, resamples, size):
        chunk = min(size, resamples - start)
        drawn = [rows[rng.integers(0, len(rows), size=(chunk, len(rows)))] for rows in members]
        yield np.concatenate(drawn, axis=1)


def _counts(rows: NDArray[np.int64]) -> Floats:
    chunk, n = rows.shape
    flat = rows + np.arange(chunk)[:, None] * n
    return np.bincount(flat.ravel(), minlength=chunk * n).reshape(chunk, n).astype(np.float64)


def _single(
    statistic: CountStatistic, scores: Floats, *, seed: int, resamples: int, level: float, strata: ArrayLike | None
) -> Estimate:
    parsed = int((~np.isnan(scores)).sum())
    return bootstrap_counts(
        {"value": statistic},
        len(scores),
        seed=seed,
        resamples=resamples,
        level=level,
        strata=strata,
        used={"value": parsed},
    )["value"]


def _estimate(value: float, resampled: Floats, level: float, n: int) -> Estimate:
    if not 0 < level < 1:
        raise WorkbenchError(f"the level of an interval lies between 0 and 1, for example 0.95; got {level}")
    defined = resampled[~np.isnan(resampled)]
    if np.isnan(value) or not len(defined):
        return Estimate(value, float("nan"), float("nan"), n)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, float(low), float(high), n)
