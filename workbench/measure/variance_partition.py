"""Share out the variance of a target between predictors: what each explains alone, what only it
explains, and what all explain together.

R-squared of a least-squares fit, cross-validated by question (:mod:`.cross_fit`): 1 minus the
squared error on questions that the fit has not seen over the target's variance. The *joint* part is
R-squared of all predictors, a predictor's *unique* part what R-squared loses without it, its part
*alone* R-squared of it alone, and *shared* the joint part less all unique parts. For a 0/1 target
this is the linear probability model, whose squared error is the Brier score.

``in_sample=True`` is the kind that most papers print: no question is left out, so noise adds about
(columns / questions) to every part and none of joint, alone and unique is ever negative.

Negative parts are possible and mean something. A cross-validated unique part below 0 says that the
predictor adds nothing that outweighs the noise of fitting it. A shared part below 0 is suppression:
together the predictors explain more than the sum of what each could, as where one holds the noise
of another.

Intervals are of the R-squared that endless questions would give, which lies above the
cross-validated one by about (columns / questions), so an interval need not contain its value. They
come from the paired bootstrap over questions, every fit made again in each resample: R-squared in
sample, less what noise adds to it (as in the adjusted R-squared), twice in a resample, whose sample
holds that noise already. There is none where fewer than five answers differ from a predictor's
most frequent value. A predictor that measures its quantity with error leaves part of its share to
those that are correlated with it; no partition shows that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Bools, Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import Bootstrap, resampled_counts
from workbench.measure.cross_fit import CrossFit, as_columns, folds_of
from workbench.measure.distinct_rows import one_cell_each
from workbench.measure.interval import Estimate
from workbench.measure.percentile import bounds
from workbench.measure.weighted import FEWEST, ratio


@dataclass(frozen=True)
class Part:
    """What one predictor explains: ``alone``, and ``unique``ly beside all others."""

    alone: Estimate
    unique: Estimate


@dataclass(frozen=True)
class VariancePartition:
    """How the variance of a target is shared out, as shares of it: ``parts`` by predictor, and what
    all explain together (``joint``), of which no one predictor's (``shared``).
    """

    parts: Mapping[str, Part]
    joint: Estimate
    shared: Estimate


def variance_partition(
    target: ArrayLike,
    predictors: Mapping[str, ArrayLike],
    draw: Bootstrap,
    *,
    ids: ArrayLike | None = None,
    domain: ArrayLike | None = None,
    in_sample: bool = False,
) -> VariancePartition:
    """Share out the variance of ``target`` [n] (0/1 or a number; NaN skipped) between
    ``predictors``, each [n] or [n, columns]; rows with a gap anywhere are left out.

    Args:
        ids: [n] question ids; rows of one question share a fold. Without them each row is one.
        domain: [n]; given, resamples keep each domain's size. Domains are not taken out of the
            variance; give them as a predictor (a column each) for that.
        in_sample: the published kind, without cross-validation.

    Raises:
        WorkbenchError: for fewer than two predictors, other numbers of rows, a constant target, or
            fewer than five questions a column.
    """
    if len(predictors) < 2:
        raise WorkbenchError("a variance partition needs at least two predictors to share between")
    wanted = np.asarray(target, dtype=np.float64)
    columns = {name: as_columns(values) for name, values in predictors.items()}
    for name, values in columns.items():
        if len(values) != len(wanted):
            raise WorkbenchError(
                f"the predictor {name!r} has {len(values)} rows for {len(wanted)} targets; align "
                "them by question"
            )
    whole = np.isfinite(np.column_stack([wanted, *columns.values()])).all(axis=1)
    if not whole.any() or np.ptp(wanted[whole]) == 0:
        raise WorkbenchError(
            "the target is the same for every question without gaps, so there is no variance to "
            "share out"
        )
    fold = None if in_sample else folds_of(len(wanted) if ids is None else ids)[whole]
    kept = {name: values[whole] for name, values in columns.items()}
    found = dict(
        zip(
            names_of(kept),
            _estimates(
                Partition(wanted[whole], kept, fold),
                Partition(wanted[whole], kept, None),
                int(whole.sum()),
                None if domain is None else np.asarray(domain)[whole],
                draw,
            ),
            strict=True,
        )
    )
    return VariancePartition(
        {name: Part(found[f"alone.{name}"], found[f"unique.{name}"]) for name in columns},
        found["joint"],
        found["shared"],
    )


def names_of(predictors: Collection[str]) -> tuple[str, ...]:
    """Return the names of the parts in the order of :class:`Partition`."""
    each = tuple(f"{kind}.{name}" for kind in ("alone", "unique") for name in predictors)
    return ("joint", "shared", *each)


def _estimates(
    valued: Partition, fitted: Partition, n: int, strata: np.ndarray | None, draw: Bootstrap
) -> list[Estimate]:
    everyone = one_cell_each(n)
    drawn = np.concatenate(
        [
            fitted(counts, noise=2)
            for counts in resampled_counts(everyone, strata=strata, **draw.draws)
        ]
    )
    centre = fitted(everyone.multiplicity[None], noise=1)[0]
    strata_held = 1 if strata is None else len(np.unique(strata))
    low, high = bounds(centre, drawn, draw.level, n, strata_held)
    value = valued(everyone.multiplicity[None])[0]
    low, high = (np.where(fitted.known, bound, np.nan) for bound in (low, high))
    each = np.stack([value, low, high], axis=1).tolist()
    return [Estimate(middle, below, above, n) for middle, below, above in each]


class Partition:
    """The parts of the variance of ``target`` [n] that ``columns`` (each [n, p]) explain, as a
    function of counts: [r, n] -> [r, parts], in the order of :func:`names_of`.

    Args:
        fold: [n] for cross-validated parts; None for those in sample.
    """

    def __init__(self, target: Floats, columns: Mapping[str, Floats], fold: Rows | None) -> None:
        self._names = list(columns)
        self.known = self._known(columns)
        every = frozenset(self._names)
        # In one order, all predictors first: a refusal then always names the same columns.
        sets = [every, *(each for n in self._names for each in (frozenset({n}), every - {n}))]
        self._fits = {
            chosen: CrossFit(
                target, np.column_stack([columns[n] for n in self._names if n in chosen]), fold
            )
            for chosen in dict.fromkeys(sets)
        }

    def _known(self, columns: Mapping[str, Floats]) -> Bools:
        """Return whether each part [parts] can have an interval: a predictor that hardly ever
        differs from its most frequent value is known no better than those few answers know it.
        """
        apart = {name: len(values) - _most_frequent(values) for name, values in columns.items()}
        each = [apart[name] >= FEWEST for name in self._names]
        return np.array([all(each), all(each), *each, *each])

    def __call__(self, counts: Floats, *, noise: int = 0) -> Floats:
        share = {chosen: _explained(fit, counts, noise) for chosen, fit in self._fits.items()}
        every = frozenset(self._names)
        alone = [share[frozenset({name})] for name in self._names]
        unique = [share[every] - share[every - {name}] for name in self._names]
        shared = share[every] - np.sum(unique, axis=0)
        return np.stack([share[every], shared, *alone, *unique], axis=1)


def _most_frequent(values: Floats) -> int:
    return int(np.unique(values, axis=0, return_counts=True)[1].max(initial=0))


def _explained(fit: CrossFit, counts: Floats, noise: int) -> Floats:
    """Return R-squared [r] of ``fit`` under counts [r, n], less ``noise`` times what noise adds to
    it in sample.
    """
    target, n = fit.target, counts.sum(axis=1)
    error = (counts * (target - fit.predicted(counts)) ** 2).sum(axis=1)
    spread = counts @ target**2 - ratio((counts @ target) ** 2, n)
    left = ratio(error, spread)
    columns = fit.given.shape[1]
    return np.asarray(1 - left - noise * left * columns / (n - columns - 1))
