"""Fit least squares on other questions than those it is applied to, under any counts of questions.

Questions fall into folds by a hash of their id, so all rows of a question share one and the same
table has the same folds every time. For fold k the slopes of ``target`` on ``given`` come from the
rows outside k. With counts of how often a question was drawn in place of ones, the same sums give
every bootstrap resample its own fit, and a question drawn twice stays in its one fold.

Slopes are taken about the mean of each stratum (domain) of the fitted rows, so with strata they are
within-domain slopes. A column of ``given`` that is a combination of the others takes no part.
"""

from __future__ import annotations

import zlib
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.weighted import summed
from workbench.measure.within_groups import centre_within

FOLDS = 10
FEWEST_PER_COLUMN = 5
"""Rows per fitted column below which a fit is refused."""


def folds_of(ids: ArrayLike | int, folds: int = FOLDS) -> Rows:
    """Return the fold [n] of each question by a hash of its id ([n], or a number of rows that have
    no ids).
    """
    keys = np.arange(ids) if isinstance(ids, int) else np.asarray(ids)
    # Neighbouring numbers differ in few bits; the lower bits of crc32 alone would follow them.
    codes = [zlib.crc32(str(key).encode()) >> 8 for key in keys.tolist()]
    return np.array(codes, dtype=np.int64) % folds


def as_columns(values: ArrayLike) -> Floats:
    """Return ``values`` [n] or [n, p] as float64 [n, p]."""
    found = np.asarray(values, dtype=np.float64)
    return found[:, None] if found.ndim == 1 else found


class CrossFit:
    """The least squares of ``target`` [n] on ``given`` [n, p] outside each fold, as a function of
    counts.

    ``target`` and ``given`` are kept as distances from the mean of their stratum.

    Args:
        fold: [n]; None fits all rows once and applies the fit to them (not cross-fitted).
        strata: [n] domains whose means are taken out.

    Raises:
        WorkbenchError: for arrays that do not fit each other, missing values, or fewer than five
            rows a column.
    """

    def __init__(
        self, target: Floats, given: Floats, fold: Rows | None, strata: Rows | None = None
    ) -> None:
        n = len(target)
        if (
            given.ndim != 2
            or len(given) != n
            or any(part is not None and len(part) != n for part in (fold, strata))
        ):
            raise WorkbenchError(
                f"a regression of {n} values needs as many rows of everything else; got "
                f"{given.shape}"
            )
        if not np.isfinite(target).all() or not np.isfinite(given).all():
            raise WorkbenchError("a regression needs values without gaps; leave out missing rows")
        if n < FEWEST_PER_COLUMN * given.shape[1]:
            raise WorkbenchError(
                f"{n} questions are too few to regress on {given.shape[1]} columns; give fewer "
                f"columns, such as out-of-fold scores in place of states, or more questions"
            )
        # Off the middle, slopes that differ a little between folds would move a whole fold.
        group = np.zeros(n, dtype=np.int64) if strata is None else strata
        self.target, self.given = centre_within(target, group), centre_within(given, group)
        self.fold = fold
        self.folds = 1 if fold is None else int(fold.max()) + 1
        self._groups = int(group.max()) + 1
        self._cell = self._own_fit * self._groups + group

    @cached_property
    def _products(self) -> list[Floats]:
        """The columns [n] whose sums make a fit: 1, y, x, x x' and x y."""
        x, y = self.given, self.target
        p = x.shape[1]
        squares = [x[:, i] * x[:, j] for i in range(p) for j in range(p)]
        return [np.ones(len(y)), y, *x.T, *squares, *(x * y[:, None]).T]

    def _sums(self, counts: Floats) -> Floats:
        """Return the sums [r, folds, strata, products] of the rows that each fold's fit uses."""
        order = np.argsort(self._cell, kind="stable")
        present, starts = np.unique(self._cell[order], return_index=True)
        drawn = counts[:, order]
        cells = np.zeros((len(counts), self.folds * self._groups, len(self._products)))
        for at, column in enumerate(self._products):
            cells[:, present, at] = summed(drawn * column[order], starts)
        by_fold = cells.reshape(len(counts), self.folds, self._groups, -1)
        if self.fold is None:
            return by_fold
        return np.asarray(by_fold.sum(axis=1, keepdims=True) - by_fold)

    def slopes(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return the slopes [r, folds, p], and the intercepts [r, folds] at the mean of all fitted
        rows.
        """
        sums, p = self._sums(counts), self.given.shape[1]
        weight, y, x = sums[..., 0], sums[..., 1], sums[..., 2 : 2 + p]
        xx = sums[..., 2 + p : 2 + p + p * p].reshape(*weight.shape, p, p)
        xy = sums[..., 2 + p + p * p :]
        held = np.where(weight > 0, weight, 1.0)
        xx = xx - x[..., :, None] * x[..., None, :] / held[..., None, None]
        xy = xy - x * (y / held)[..., None]
        slope = _solved(xx.sum(axis=2), xy.sum(axis=2))
        total = np.maximum(weight.sum(axis=2), 1e-300)
        middle = (x.sum(axis=2) * slope).sum(axis=-1)
        return slope, (y.sum(axis=2) - middle) / total

    def predicted(self, counts: Floats) -> Floats:
        """Return what each row's fit says of it: [r, n]."""
        slope, level = self.slopes(counts)
        return self._times_given(slope) + level[:, self._own_fit]

    def residual(self, counts: Floats) -> Floats:
        """Return the target less the slopes' part: [r, n]. Intercepts, which differ between folds
        by noise alone, are not taken off: the order of the rows is what residuals are for.
        """
        return self.target - self._times_given(self.slopes(counts)[0])

    @cached_property
    def _own_fit(self) -> Rows:
        return np.zeros(len(self.target), dtype=np.int64) if self.fold is None else self.fold

    def _times_given(self, slope: Floats) -> Floats:
        found: Floats = np.einsum("rnp,np->rn", slope[:, self._own_fit], self.given)
        return found


def _solved(xx: Floats, xy: Floats) -> Floats:
    """Return the shortest slopes [..., p] with ``xx`` [..., p, p] times them ``xy`` [..., p]."""
    if xx.shape[-1] == 1:
        square = xx[..., 0]
        return np.divide(xy, square, out=np.zeros_like(xy), where=square > 1e-300)
    inverse = np.linalg.pinv(xx, rcond=1e-10, hermitian=True)
    return np.asarray((inverse @ xy[..., None])[..., 0])
