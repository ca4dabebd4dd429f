"""Compare two readouts of the same questions: is the difference real?

Questions are drawn together with both readouts, so what makes a question easy for both cancels.
Every difference is a minus b: above zero means a has more of the measure, which is better for
auroc2 and worse for ece (see each measure). Only questions parsed in both are compared, so that
neither gains by failing to be parsed on hard ones. Grades: ``correct_b`` grades b's answers where
the two runs answered differently, which is the fair comparison of two models. Judging both by a's
grades is how some published comparisons were made; it asks how well b's confidence predicts a's
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.measure.delong import DeLongDifference, delong_difference
from workbench.measure.distance import Distance, minus
from workbench.measure.inputs import checked_probability
from workbench.measure.interval import Estimate
from workbench.measure.metrics import PAIRED, statistics_of
from workbench.measure.resampling import Reading, Table, resampled
from workbench.measure.shares import Share
from workbench.measure.weighted import Counting, CountStatistic, Latest, OwnBounds, PointOnly
from workbench.settings.defaults import BINS, LEVEL, RESAMPLES


@dataclass(frozen=True)
class Paired:
    """A paired comparison. ``first`` and ``second``: each metric on the ``n`` questions compared;
    ``difference``: first minus second.

    All from the same resamples. ``delong`` is the difference of AUROC2 without resampling.
    """

    n: int
    first: dict[str, Estimate]
    second: dict[str, Estimate]
    difference: dict[str, Estimate]
    delong: DeLongDifference
    method: str


def paired_metrics(
    confidence_a: ArrayLike,
    confidence_b: ArrayLike,
    correct: ArrayLike,
    *,
    correct_b: ArrayLike | None = None,
    seed: int,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    bins: int = BINS,
    names: tuple[str, ...] = PAIRED,
) -> Paired:
    """Return the differences of ``names`` between two confidences [n] (0-1, NaN = unparsed) of the
    same questions, row by row.

    Raises:
        WorkbenchError: for confidences of different length, and where no question was parsed in
            both.
    """
    first, labels = checked_probability(confidence_a, correct)
    second, labels_b = checked_probability(
        confidence_b, correct if correct_b is None else correct_b
    )
    if first.shape != second.shape:
        raise WorkbenchError(
            f"paired confidences have {len(first)} and {len(second)} rows; align them by question"
        )
    both = ~np.isnan(first) & ~np.isnan(second)
    if not both.any():
        raise WorkbenchError(
            "no question was parsed in both readouts, so there is nothing to compare"
        )
    first, second, labels, labels_b = first[both], second[both], labels[both], labels_b[both]
    found = resampled(
        lambda table: _differences(table, names, bins),
        [Reading(first, labels), Reading(second, labels_b)],
        None,
        seed=seed,
        resamples=resamples,
        level=level,
        bins=bins,
    )
    own, other, between = (
        {name: found.estimates[f"{kind}.{name}"] for name in names} for kind in ("a", "b", "a-b")
    )
    exact = delong_difference(first, second, labels, correct_b=labels_b, level=level)
    return Paired(len(first), own, other, between, exact, found.method)


def _differences(table: Table, names: tuple[str, ...], bins: int) -> Mapping[str, CountStatistic]:
    a, b = (
        {name: _kept(each) for name, each in statistics_of(table, names, bins, reading).items()}
        for reading in (0, 1)
    )
    out: dict[str, CountStatistic] = {}
    for name in names:
        out |= {f"a.{name}": a[name], f"b.{name}": b[name], f"a-b.{name}": minus(a[name], b[name])}
    return out


def _kept(statistic: CountStatistic) -> CountStatistic:
    """Return ``statistic`` so that its latest result is shared; those with parts share theirs."""
    if isinstance(statistic, Counting):
        return type(statistic)(Latest(statistic), statistic.count)
    return (
        statistic
        if isinstance(statistic, Distance | Share | OwnBounds | PointOnly)
        else Latest(statistic)
    )
