"""Measure selective answering: keep the confident answers, abstain on the rest. How wrong are the
kept ones?

Answers are accepted from the highest confidence down. Coverage = accepted / parsed, risk = wrong /
accepted. Answers of equal confidence cannot be ordered, so between two distinct confidences the
number wrong rises on a straight line: the expectation over random orders of a tie, which no order
of rows in a file can change. AURC = mean over k = 1..n of the expected risk of the k most confident
answers; it holds the error rate itself, so excess AURC subtracts that of the best order with as
many errors. Lower is better for both. Unparsed replies are skipped: see ``parse_rate``. The curve
does not show at which stated value to cut, nor that a cut found here holds elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.discrimination import ValueGroups
from workbench.measure.inputs import checked
from workbench.measure.weighted import CountStatistic, Latest, once, ratio


@dataclass(frozen=True)
class RiskCoverage:
    """The risk-coverage curve. One point per distinct confidence, from the top: accepting all
    answers at ``threshold`` [v] and above.
    """

    threshold: Floats
    coverage: Floats
    risk: Floats

    def __post_init__(self) -> None:
        if not self.threshold.shape == self.coverage.shape == self.risk.shape:
            raise ValueError("threshold, coverage and risk must have one length")


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """Return the curve of ``confidence`` [n] (any scale, NaN skipped) against ``correct`` [n];
    empty with no parsed answer.
    """
    scores, labels = checked(confidence, correct)
    groups = ValueGroups(scores, labels)
    found = groups(np.ones((1, len(scores))))
    wrong = found.wrong_above[0, ::-1]
    accepted = wrong + found.right_above[0, ::-1]
    return RiskCoverage(
        groups.values[::-1], accepted / max(1, accepted.max(initial=0)), wrong / accepted
    )


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the area under the risk-coverage curve; NaN with no parsed answer."""
    return once(SelectiveRisk(ValueGroups(*checked(confidence, correct))).aurc, confidence)


def excess_aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return AURC minus that of the best possible order; 0 when every right answer is above every
    wrong one.
    """
    return once(SelectiveRisk(ValueGroups(*checked(confidence, correct))).excess_aurc, confidence)


def accuracy_at_coverage(
    confidence: ArrayLike, correct: ArrayLike, coverages: Sequence[float]
) -> Floats:
    """Return the expected accuracy of the most confident share of answers, for each of
    ``coverages`` (0 < c <= 1).
    """
    curve = SelectiveRisk(ValueGroups(*checked(confidence, correct)))
    return np.array([once(curve.accuracy_at(share), confidence) for share in coverages])


class SelectiveRisk:
    """The selective measures of fixed answers; every method maps counts [r, n] to values [r]."""

    def __init__(self, groups: ValueGroups) -> None:
        self._groups = groups
        self.aurc: CountStatistic = Latest(self._aurc)

    def _aurc(self, counts: Floats) -> Floats:
        groups = self._groups(counts)
        size, wrong = groups.right + groups.wrong, groups.wrong
        after = groups.right_above + groups.wrong_above
        rate = np.divide(wrong, size, out=np.zeros_like(wrong), where=size > 0)
        summed = np.take(_harmonic(counts), after.astype(np.int32))
        # With B wrong of N accepted before a tie, the sum over i = 1..size of (B + i rate) / (N +
        # i), in closed form.
        before = groups.wrong_above - wrong - (after - size) * rate
        part = wrong - before * np.diff(summed, axis=1, append=0.0)
        return ratio(part.sum(axis=1), size.sum(axis=1))

    def best_aurc(self, counts: Floats) -> Floats:
        """Return AURC of the best order with as many right and wrong answers."""
        groups = self._groups(counts)
        right, wrong = groups.right.sum(axis=1), groups.wrong.sum(axis=1)
        harmonic = _harmonic(counts)
        area = wrong - right * (harmonic[(right + wrong).astype(int)] - harmonic[right.astype(int)])
        return ratio(area, right + wrong)

    def excess_aurc(self, counts: Floats) -> Floats:
        return self.aurc(counts) - self.best_aurc(counts)

    def accuracy_at(self, coverage: float) -> CountStatistic:
        """Return the expected accuracy of the most confident share ``coverage`` of the parsed
        answers.

        Raises:
            WorkbenchError: for a coverage outside 0 to 1.
        """
        if not 0 < coverage <= 1:
            raise WorkbenchError(f"coverage is a share above 0 and at most 1; got {coverage}")

        def accuracy(counts: Floats) -> Floats:
            groups = self._groups(counts)
            if not groups.right.shape[1]:
                return np.full(len(counts), np.nan)
            after = groups.right_above + groups.wrong_above
            wanted = coverage * after[:, 0]
            # The lowest confidence at which enough are accepted comes last: accepted counts fall
            # along the row.
            cut = (after >= wanted[:, None] - 1e-9).sum(axis=1)[:, None] - 1
            reached, found, right, wrong = (
                np.take_along_axis(each, cut, axis=1)[:, 0]
                for each in (after, groups.right_above, groups.right, groups.wrong)
            )
            beyond = np.divide(
                reached - wanted, right + wrong, out=np.zeros(len(counts)), where=right + wrong > 0
            )
            return ratio(found - beyond * right, wanted)

        return accuracy


def _harmonic(counts: Floats) -> Floats:
    most = int(counts.sum(axis=1).max(initial=0))
    return np.r_[0.0, np.cumsum(1 / np.arange(1, most + 1))]
