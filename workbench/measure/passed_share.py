"""Measure which answers a model passes on: the share passed at each confidence, of right and of
wrong answers.

A pass is an outcome of the model's choosing (it was offered to answer or to pass, or to hand the
question over), so unlike correctness it needs no grade, and a model that knows when it is wrong
passes on low confidence and on wrong answers. Each distinct confidence is a point where they are
few, else groups of equal mass. ``passed`` is 0/1, or the probability of passing, whose mean is then
the share that sampling would give.

Sign: a share that falls with confidence means that the model commits to what it is sure of. The
curve does not show why: confidence and passing may both follow the question's look. Intervals:
Wilson's for 0/1, the paired bootstrap's for probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats, Rows
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import Bootstrap, bootstrap_counts
from workbench.measure.equal_groups import GROUPS, equal_groups
from workbench.measure.inputs import checked
from workbench.measure.interval import Estimate, IntervalCurve
from workbench.measure.shares import Share
from workbench.measure.weighted import CountStatistic, mean_of


@dataclass(frozen=True)
class PassedShare:
    """The share of answers passed, over all, of ``right`` and of ``wrong`` answers, and at each
    confidence.

    Attributes:
        confidence: [groups] the mean confidence of each group, rising.
        count: [groups] the answers in it.
        share: [groups] the share of them passed.
    """

    overall: Estimate
    right: Estimate
    wrong: Estimate
    confidence: Floats
    count: Rows
    share: IntervalCurve


def passed_share(
    confidence: ArrayLike,
    passed: ArrayLike,
    correct: ArrayLike,
    draw: Bootstrap,
    *,
    groups: int = GROUPS,
) -> PassedShare:
    """Return the shares ``passed`` [n] (0/1, or probabilities; NaN = no choice could be read) by
    ``confidence`` [n] (any scale; NaN is in no group) and by ``correct`` [n].

    Raises:
        WorkbenchError: for a share outside 0 to 1, or arrays of different length.
    """
    scores, labels = checked(confidence, correct)
    shares = np.asarray(passed, dtype=np.float64)
    if shares.shape != scores.shape or ((shares < 0) | (shares > 1)).any():
        raise WorkbenchError(
            f"passed needs one value from 0 to 1 for each of {len(scores)} answers; got "
            f"{shares.shape}"
        )
    known = ~np.isnan(scores) & ~np.isnan(shares)
    group = np.full(len(scores), -1)
    group[known] = equal_groups(scores[known], groups)
    rows = {"overall": np.ones(len(scores), dtype=np.bool_), "right": labels, "wrong": ~labels}
    points = [group == at for at in range(int(group.max(initial=-1)) + 1)]
    chosen = {**rows, **{str(at): members for at, members in enumerate(points)}}
    kind: Callable[[Floats], CountStatistic] = (
        Share if np.isin(shares[~np.isnan(shares)], (0, 1)).all() else mean_of
    )
    found = bootstrap_counts(
        {name: kind(np.where(members, shares, np.nan)) for name, members in chosen.items()},
        len(scores),
        used={name: int((members & ~np.isnan(shares)).sum()) for name, members in chosen.items()},
        **draw.options,
    )
    curve = [found[str(at)] for at in range(len(points))]
    return PassedShare(
        found["overall"],
        found["right"],
        found["wrong"],
        np.array([scores[members].mean() for members in points]),
        np.array([members.sum() for members in points], dtype=np.int64),
        IntervalCurve(
            *(np.array([getattr(e, b) for e in curve]) for b in ("value", "low", "high"))
        ),
    )
