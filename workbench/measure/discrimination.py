"""Measure discrimination: do correct answers get higher confidence than wrong ones (type-2 AUROC)?

AUROC2 = P(confidence of a random correct answer > that of a random wrong one), ties counted half.
Confidences are grouped by value once; with P and N the correct and wrong answers per value in
rising order, AUROC2 = sum P (N below + N / 2) / (sum P sum N). With counts of how often a question
was drawn in place of ones, the same sums give a bootstrap resample without sorting again. Sign:
above .5 means that correct answers get more confidence. The number does not show calibration (it
depends on order only). Pooled over domains of different difficulty it rewards knowing the domain,
so ``auroc2_within`` is always reported with it. NaN confidences are skipped: see ``parse_rate``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Bools, Floats, Rows
from workbench.measure.inputs import checked, checked_domain
from workbench.measure.weighted import CountStatistic, Latest, ratio, summed


def auroc2(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the pooled AUROC2 of ``confidence`` [n] (any scale, NaN skipped) against ``correct``
    [n].

    NaN when the parsed answers are all right, all wrong, or none. Equal to the area under the ROC
    curve.
    """
    scores, labels = checked(confidence, correct)
    return float(Auroc2(scores, labels)(np.ones((1, len(scores))))[0])


def auroc2_within(confidence: ArrayLike, correct: ArrayLike, domain: ArrayLike) -> float:
    """Return the plain mean of AUROC2 over the domains that hold both a right and a wrong parsed
    answer; NaN when none does.
    """
    scores, labels = checked(confidence, correct)
    codes = checked_domain(domain, len(scores))
    return float(Auroc2Within(scores, labels, codes)(np.ones((1, len(scores))))[0])


@dataclass(frozen=True)
class Grouped:
    """The counts [r, v] of ``right`` and ``wrong`` answers at v confidences in rising order, and
    their running sums.
    """

    right: Floats
    wrong: Floats

    @cached_property
    def right_below(self) -> Floats:
        """The right answers at this confidence or below."""
        return np.cumsum(self.right, axis=1)

    @cached_property
    def wrong_below(self) -> Floats:
        """The wrong answers at this confidence or below."""
        return np.cumsum(self.wrong, axis=1)

    @cached_property
    def right_above(self) -> Floats:
        """The right answers at this confidence or above."""
        return self.right_below[:, -1:] - self.right_below + self.right

    @cached_property
    def wrong_above(self) -> Floats:
        """The wrong answers at this confidence or above."""
        return self.wrong_below[:, -1:] - self.wrong_below + self.wrong


class ValueGroups:
    """The right and wrong answers per distinct confidence, as a function of how often each question
    is counted.

    Metrics of the same answers may share one: the latest counts are grouped once.
    """

    def __init__(self, confidence: Floats, correct: Bools) -> None:
        parsed = np.flatnonzero(~np.isnan(confidence))
        order = parsed[np.argsort(confidence[parsed], kind="stable")]
        ordered = confidence[order]
        starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]][: len(ordered)])
        self.values = ordered[starts]
        # Not a method of this object, which would go only when cycles are collected.
        self._grouped = Latest(partial(_group, order, correct[order].astype(np.float64), starts))

    def __call__(self, counts: Floats) -> Grouped:
        """Return the right and wrong answers under ``counts`` [r, n]."""
        return self._grouped(counts)


def _group(order: Rows, correct: Floats, starts: Rows, counts: Floats) -> Grouped:
    if not len(order):
        return Grouped(np.zeros((len(counts), 0)), np.zeros((len(counts), 0)))
    drawn = counts[:, order]
    right = summed(drawn * correct, starts)
    return Grouped(right, summed(drawn, starts) - right)


class Auroc2:
    """The AUROC2 of fixed answers, as a function of how often each question is counted: [r, n] ->
    [r].
    """

    def __init__(self, confidence: Floats, correct: Bools) -> None:
        self._groups = ValueGroups(confidence, correct)

    def __call__(self, counts: Floats) -> Floats:
        return auroc2_of_groups(self._groups(counts))

    def told(self, counts: Floats) -> Floats:
        """Return how many answers [r] stand apart from the most frequent confidence."""
        return off_the_mode(self._groups(counts))


def auroc2_of_groups(groups: Grouped) -> Floats:
    """Return AUROC2 [r] of grouped answers."""
    wins = (groups.right * (groups.wrong_below - groups.wrong / 2)).sum(axis=1)
    return ratio(wins, groups.right.sum(axis=1) * groups.wrong.sum(axis=1))


def off_the_mode(groups: Grouped) -> Floats:
    """Return how many answers [r] have another confidence than the most frequent one."""
    size = groups.right + groups.wrong
    return size.sum(axis=1) - size.max(axis=1, initial=0)


def mean_over_domains(
    statistics: Sequence[CountStatistic], members: Sequence[np.ndarray], counts: Floats
) -> Floats:
    """Return the plain mean [r] of each domain's statistic of its ``members`` under ``counts`` [r,
    n], over the domains where it is defined.
    """
    return mean_of_defined(
        [each(counts[:, rows]) for each, rows in zip(statistics, members, strict=True)]
    )


def mean_of_defined(of_domain: Sequence[Floats]) -> Floats:
    """Return the plain mean [r] over the domains' values (each [r]) that are not NaN."""
    table = np.stack(of_domain)
    defined = ~np.isnan(table)
    return ratio(np.where(defined, table, 0.0).sum(axis=0), defined.sum(axis=0))


def auroc2_of_rows(confidence: Floats, correct: Bools, counts: Floats) -> Floats:
    """Return AUROC2 [r] of ``confidence`` [r, n], another one in each row of ``counts`` [r, n]."""
    if not confidence.size:
        return np.full(len(confidence), np.nan)
    order = np.argsort(confidence, axis=1, kind="stable")
    values, drawn = (np.take_along_axis(each, order, axis=1) for each in (confidence, counts))
    of_right = drawn * correct[order]
    new = np.ones(values.shape, dtype=np.bool_)
    new[:, 1:] = values[:, 1:] != values[:, :-1]
    starts, row_of = np.flatnonzero(new), np.nonzero(new)[0]
    right, wrong = (np.add.reduceat(e.ravel(), starts) for e in (of_right, drawn - of_right))
    rows = np.searchsorted(row_of, np.arange(len(values)))
    all_right, all_wrong = np.add.reduceat(right, rows), np.add.reduceat(wrong, rows)
    below = np.cumsum(wrong) - (np.cumsum(all_wrong) - all_wrong)[row_of]
    wins = np.add.reduceat(right * (below - wrong / 2), rows)
    return ratio(wins, all_right * all_wrong)


class Auroc2Within:
    """The macro mean of AUROC2 over domains, as a function of counts: [r, n] -> [r].

    A domain that has one class only under some counts is left out of that row's mean.
    """

    def __init__(self, confidence: Floats, correct: Bools, codes: np.ndarray) -> None:
        self._members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
        self._domains = [Auroc2(confidence[rows], correct[rows]) for rows in self._members]

    def __call__(self, counts: Floats) -> Floats:
        if not self._domains:
            return np.full(len(counts), np.nan)
        return mean_over_domains(self._domains, self._members, counts)

    def told(self, counts: Floats) -> Floats:
        """Return how many answers [r] stand apart from their domain's most frequent confidence."""
        parts = zip(self._domains, self._members, strict=True)
        return np.sum([each.told(counts[:, rows]) for each, rows in parts], axis=0)
