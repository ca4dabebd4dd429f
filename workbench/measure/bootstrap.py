"""Resample questions in a paired bootstrap: how much would a number move with other questions of
the same kind?

Questions are drawn with replacement, all their readouts together, so differences between readouts
are paired. The interval is the expanded, bias-corrected percentile interval of the resampled values
(:mod:`.percentile`); of a distance that noise lengthens it is another one (:mod:`.distance`), of a
share Wilson's (:mod:`.shares`), and what is not known to be covered has none.
:func:`bootstrap` calls any statistic on resampled arrays; :func:`bootstrap_counts` passes a
vectorised statistic the number of times each question was drawn, [chunk, n], which for sums and
ranks is the same resample at a fraction of the cost. Both draw the same resamples from the same
seed. With ``strata`` every stratum keeps its size (drawn within domain). Undefined resamples (one
class only) are left out. Above ``ROW_DRAWS`` drawn rows, counts are multinomial draws over the
distinct cells of the table (:mod:`.distinct_rows`) instead: the same distribution, other random
numbers. :func:`method_of` names which of the two a call uses. It does not show error shared by all
questions (prompt, training seed, grading).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.distance import Distance
from workbench.measure.distinct_rows import Cells, one_cell_each
from workbench.measure.inputs import checked_domain
from workbench.measure.interval import Estimate
from workbench.measure.percentile import bounds, tail
from workbench.measure.shares import Share, wilson_interval
from workbench.measure.weighted import (
    CountStatistic,
    OverFewer,
    OwnBounds,
    PointOnly,
    has_enough,
)
from workbench.settings.defaults import LEVEL, RESAMPLES

ROW_DRAWS = 20_000_000
_CELLS_PER_CHUNK = 200_000
UNDRAWN = (Share, PointOnly, OwnBounds)
"""The statistics that need no resamples."""


class Draws(TypedDict):
    """The arguments of every measure that draws resamples."""

    resamples: int
    seed: int


class LevelledDraws(Draws):
    """The arguments of :class:`Draws`, with the level of the interval."""

    level: float


@dataclass(frozen=True)
class Bootstrap:
    """The settings of intervals: how many ``resamples``, from which ``seed``, and their
    ``level``.
    """

    resamples: int
    seed: int
    level: float = LEVEL

    def __post_init__(self) -> None:
        if self.resamples < 1 or not 0 < self.level < 1:
            raise WorkbenchError(
                f"A bootstrap draws at least one resample for a level between 0 and 1, not "
                f"{self.resamples} for {self.level:g}; set bootstrap_resamples."
            )

    @property
    def draws(self) -> Draws:
        """The resamples, as a measure that sets its level itself takes them: ``**draw.draws``."""
        return {"resamples": self.resamples, "seed": self.seed}

    @property
    def options(self) -> LevelledDraws:
        """The resamples and the level, as the measures take them: ``**draw.options``."""
        return {"resamples": self.resamples, "seed": self.seed, "level": self.level}


def bootstrap(
    statistic: Callable[..., float],
    *arrays: ArrayLike,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
) -> Estimate:
    """Estimate ``statistic(*arrays)`` over resampled rows.

    Every array has the questions as its first axis [n, ...]; the statistic gets them indexed alike.
    ``strata`` [n] keeps the size of each stratum.

    Raises:
        WorkbenchError: for arrays of different length or no questions.
    """
    columns = [np.asarray(array) for array in arrays]
    if not columns or any(len(column) != len(columns[0]) for column in columns):
        raise WorkbenchError(
            f"bootstrap needs arrays with one row per question; got {[c.shape for c in columns]}"
        )
    n = len(columns[0])
    values = [
        float(statistic(*(column[rows] for column in columns)))
        for chunk in resampled_rows(n, resamples=resamples, seed=seed, strata=strata)
        for rows in chunk
    ]
    fitted = 1 if strata is None else len(np.unique(np.asarray(strata)))
    return _estimate(float(statistic(*columns)), np.array(values), level, n, fitted)


def bootstrap_counts(
    statistics: Mapping[str, CountStatistic],
    cells: Cells | int,
    *,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    strata: ArrayLike | None = None,
    used: Mapping[str, int] | None = None,
) -> dict[str, Estimate]:
    """Return the estimates of several statistics of counts ([r, c] -> [r]) from the same resamples
    of the questions in ``cells``.

    An integer means that many questions, each in its own cell. ``strata`` [n] must be constant
    within a cell. ``used`` gives the number of questions a statistic really reads, for its
    estimate's ``n`` (default: all).
    """
    table = one_cell_each(cells) if isinstance(cells, int) else cells
    n = len(table.index)
    fitted = 1 if strata is None else len(np.unique(np.asarray(strata)))
    collected: dict[str, list[Floats]] = {name: [] for name in statistics}
    for counts in resampled_counts(table, resamples=resamples, seed=seed, strata=strata):
        for name, statistic in statistics.items():
            if not isinstance(statistic, UNDRAWN):
                collected[name].append(_resampled_part(statistic, counts))
    everyone = table.multiplicity[None]
    return {
        name: replace(
            _estimate_of(statistic, everyone, collected[name], level, n, fitted),
            n=(used or {}).get(name, n),
        )
        for name, statistic in statistics.items()
    }


def resampled_rows(
    n: int, *, resamples: int, seed: int, strata: ArrayLike | None = None
) -> Iterator[NDArray[np.int64]]:
    """Yield chunks [chunk, n] of row indices drawn with replacement, within each stratum when
    ``strata`` [n] is given.

    A chunk holds at most 200,000 indices: they stay in the cache, and memory does not grow with the
    number of resamples.

    Raises:
        WorkbenchError: for no questions or no resamples.
    """
    if n < 1 or resamples < 1:
        raise WorkbenchError(
            f"cannot draw {resamples} resamples of {n} questions; both must be at least 1"
        )
    rng = np.random.default_rng(seed)
    codes = np.zeros(n, dtype=np.int64) if strata is None else checked_domain(strata, n)
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    size = max(1, _CELLS_PER_CHUNK // n)
    for start in range(0, resamples, size):
        chunk = min(size, resamples - start)
        drawn = [rows[rng.integers(0, len(rows), size=(chunk, len(rows)))] for rows in members]
        yield np.concatenate(drawn, axis=1)


def resampled_counts(
    cells: Cells, *, resamples: int, seed: int, strata: ArrayLike | None = None
) -> Iterator[Floats]:
    """Yield chunks [chunk, c] of how often each cell was drawn; every row of a chunk adds up to the
    number of questions.
    """
    if method_of(len(cells.index), resamples) == "rows":
        for rows in resampled_rows(len(cells.index), resamples=resamples, seed=seed, strata=strata):
            yield _counts(cells.index[rows], len(cells))
        return
    rng = np.random.default_rng(seed)
    codes = (
        np.zeros(len(cells.index), dtype=np.int64)
        if strata is None
        else checked_domain(strata, len(cells.index))
    )
    of_cell = codes[cells.first]
    members = [np.flatnonzero(of_cell == code) for code in np.unique(of_cell)]
    size = max(1, _CELLS_PER_CHUNK // len(cells))
    for start in range(0, resamples, size):
        counts = np.empty((min(size, resamples - start), len(cells)))
        for group in members:
            many = cells.multiplicity[group]
            counts[:, group] = rng.multinomial(int(many.sum()), many / many.sum(), size=len(counts))
        yield counts


def method_of(n: int, resamples: int) -> Literal["rows", "cells"]:
    """Return how ``resamples`` of ``n`` questions are drawn: row by row, or as multinomial counts
    over distinct cells.
    """
    return "rows" if n * resamples <= ROW_DRAWS else "cells"


def _counts(rows: NDArray[np.int64], cells: int) -> Floats:
    chunk = len(rows)
    flat = rows + np.arange(chunk)[:, None] * cells
    return (
        np.bincount(flat.ravel(), minlength=chunk * cells).reshape(chunk, cells).astype(np.float64)
    )


def _resampled_part(statistic: CountStatistic, counts: Floats) -> Floats:
    """Return what of ``statistic`` is resampled: the parts of a distance, else its value."""
    return statistic.parts(counts) if isinstance(statistic, Distance) else statistic(counts)


def _estimate_of(
    statistic: CountStatistic,
    everyone: Floats,
    drawn: list[Floats],
    level: float,
    n: int,
    fitted: int,
) -> Estimate:
    out = tail(level, n, fitted)
    if isinstance(statistic, PointOnly) or not has_enough(statistic, everyone):
        return Estimate(float(statistic(everyone)[0]), float("nan"), float("nan"), n)
    if isinstance(statistic, Share):
        hits, trials = statistic.of_trials(everyone)
        low, high = wilson_interval(hits, trials, level=level)
        return Estimate(float(statistic(everyone)[0]), float(low[0]), float(high[0]), n)
    if isinstance(statistic, OwnBounds):
        return Estimate(float(statistic(everyone)[0]), *statistic.bounds(everyone, level), n)
    if isinstance(statistic, Distance):
        observed, parts = statistic.parts(everyone)[0], np.concatenate(drawn)
        parts = parts[~np.isnan(parts).any(axis=1)]
        if np.isnan(observed).any() or not len(parts):
            return Estimate(float(statistic(everyone)[0]), float("nan"), float("nan"), n)
        return Estimate(*statistic.estimate(observed, parts - observed, out), n)
    known = n
    if isinstance(statistic, OverFewer):
        known = max(int(statistic.count(everyone)[0]), fitted + 1)
    return _estimate(float(statistic(everyone)[0]), np.concatenate(drawn), level, known, fitted)


def _estimate(value: float, resampled: Floats, level: float, n: int, fitted: int = 1) -> Estimate:
    low, high = bounds(value, resampled, level, n, fitted)
    return Estimate(value, float(low), float(high), n)
