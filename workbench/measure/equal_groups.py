"""Group scores that are alike: each distinct score by itself where they are few, else in groups of
equal mass, ties together.

Measures that read a score without a model of it (its bits, the share passed at each confidence)
count answers in such groups. How many groups there are is a choice: more see finer steps, and are
known less well each.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats, Rows

GROUPS = 8


def equal_groups(scores: Floats, groups: int, multiplicity: Floats | None = None) -> Rows:
    """Group ``scores`` [c], each of which stands for ``multiplicity`` [c] answers (default: one);
    return the group [c], numbered without gaps in rising order of the scores.

    Missing scores (NaN) are a group by themselves, the first.
    """
    many = np.ones(len(scores)) if multiplicity is None else multiplicity
    known = ~np.isnan(scores)
    values, inverse = np.unique(scores[known], return_inverse=True)
    if len(values) > groups:
        mass = np.bincount(inverse, many[known]).astype(np.float64)
        edges = np.unique(_quantiles(values, mass, np.linspace(0, 1, groups + 1)[1:-1]))
        found = np.searchsorted(edges, scores, side="right")
    else:
        found = np.searchsorted(values, scores)
    found = np.where(known, found, -1)
    return np.unique(found, return_inverse=True)[1].astype(np.int64)


def _quantiles(values: Floats, mass: Floats, places: Floats) -> Floats:
    """Return the quantiles that ``values`` [v], each repeated ``mass`` [v] times, have at
    ``places``: those of :func:`numpy.quantile`, without repeating anything.
    """
    ends = np.cumsum(mass)
    rank = places * (ends[-1] - 1)
    below, above = (
        values[np.minimum(np.searchsorted(ends, at, side="right"), len(values) - 1)]
        for at in (np.floor(rank), np.ceil(rank))
    )
    share = rank - np.floor(rank)
    return np.asarray(below + (above - below) * share, dtype=np.float64)
