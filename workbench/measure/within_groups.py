"""Look within groups of questions, such as domains: take out of values what groups differ in, or
shuffle questions without moving any of them into another group.

What is left says nothing of the groups themselves; a group of one question has nothing left.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats, Rows


def centre_within(values: ArrayLike, groups: ArrayLike) -> Floats:
    """Return ``values`` [n, ...] less the mean of their group [n]."""
    out = np.array(values, dtype=np.float64)
    codes = np.unique(np.asarray(groups), return_inverse=True)[1]
    rows_of = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
    for rows in rows_of:
        out[rows] -= out[rows].mean(axis=0)
    return out


def shuffle_rows_within(groups: Rows, rng: np.random.Generator) -> Rows:
    """Return an order [n] of the questions in which those of each group [n] are mixed among
    themselves.
    """
    order = np.empty(len(groups), dtype=np.int64)
    order[np.argsort(groups, kind="stable")] = np.lexsort((rng.random(len(groups)), groups))
    return order
