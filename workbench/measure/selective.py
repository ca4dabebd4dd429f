"""Selective answering: keep the confident answers, abstain on the rest. How wrong is what is kept?

Answers are accepted from the highest confidence down. Coverage = accepted / parsed, risk = wrong / accepted. Answers of
equal confidence cannot be ordered, so between two distinct confidences the number wrong rises on a straight line: the
expectation over random orders of a tie, which no order of rows in a file can change.
AURC = mean over k = 1..n of the expected risk of the k most confident answers; it holds the error rate itself, so excess AURC
subtracts that of the best order with as many errors. Lower is better for both. Unparsed replies are skipped: see ``parse_rate``.
The curve does not show at which stated value to cut, nor that a cut found here holds elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.measure.counted import CountStatistic, Latest, once, ratio
from workbench.measure.discrimination import ValueGroups
from workbench.measure.inputs import Floats, checked


@dataclass(frozen=True)
class RiskCoverage:
    """One point per distinct confidence, from the top: accepting all answers at ``threshold`` [v] and above."""

    threshold: Floats
    coverage: Floats
    risk: Floats

    def __post_init__(self) -> None:
        if not self.threshold.shape == self.coverage.shape == self.risk.shape:
            raise ValueError("threshold, coverage and risk must have one length")


def risk_coverage(confidence: ArrayLike, correct: ArrayLike) -> RiskCoverage:
    """The curve of ``confidence`` [n] (any scale, NaN skipped) against ``correct`` [n]; empty with no parsed answer."""
    scores, labels = checked(confidence, correct)
    groups = ValueGroups(scores, labels)
    right, wrong = (each[0, ::-1] for each in groups(np.ones((1, len(scores)))))
    accepted = np.cumsum(right + wrong)
    return RiskCoverage(groups.values[::-1], accepted / max(1, (right + wrong).sum()), np.cumsum(wrong) / accepted)


def aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Area under the risk-coverage curve; NaN with no parsed answer."""
    return once(SelectiveRisk(ValueGroups(*checked(confidence, correct))).aurc, confidence)


def excess_aurc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """AURC minus that of the best possible order; 0 when every right answer is above every wrong one."""
    return once(SelectiveRisk(ValueGroups(*checked(confidence, correct))).excess_aurc, confidence)


def accuracy_at_coverage(confidence: ArrayLike, correct: ArrayLike, coverages: Sequence[float]) -> Floats:
    """Expected accuracy of the most confident share of answers, for each of ``coverages`` (0 < c <= 1)."""
    curve = SelectiveRisk(ValueGroups(*checked(confidence, correct)))
    return np.array([once(curve.accuracy_at(share), confidence) for share in coverages])


class SelectiveRisk:
    """Selective measures of fixed answers; every method maps counts [r, n] to values [r]."""

    def __init__(self, groups: ValueGroups) -> None:
        self._groups = groups
        self.aurc: CountStatistic = Latest(self._aurc)

    def _aurc(self, counts: Floats) -> Floats:
        right, wrong = self._from_the_top(counts)
        size = right + wrong
        after, bad = np.cumsum(size, axis=1), np.cumsum(wrong, axis=1)
        before, bad_before = after - size, bad - wrong
        summed = np.take(_harmonic(counts), after.astype(np.int32))
        rate = np.divide(wrong, size, out=np.zeros_like(wrong), where=size > 0)
        # Sum over i = 1..size of (bad_before + i rate) / (before + i), in closed form.
        part = wrong + (bad_before - before * rate) * np.diff(summed, axis=1, prepend=0.0)
        return ratio(part.sum(axis=1), size.sum(axis=1))

    def best_aurc(self, counts: Floats) -> Floats:
        """AURC of the best order with as many right and wrong answers."""
        right, wrong = (each.sum(axis=1) for each in self._groups(counts))
        harmonic = _harmonic(counts)
        area = wrong - right * (harmonic[(right + wrong).astype(int)] - harmonic[right.astype(int)])
        return ratio(area, right + wrong)

    def excess_aurc(self, counts: Floats) -> Floats:
        return self.aurc(counts) - self.best_aurc(counts)

    def accuracy_at(self, coverage: float) -> CountStatistic:
        """Expected accuracy of the most confident share ``coverage`` of the parsed answers."""
        if not 0 < coverage <= 1:
            raise WorkbenchError(f"coverage is a share above 0 and at most 1; got {coverage}")

        def accuracy(counts: Floats) -> Floats:
            right, wrong = self._from_the_top(counts)
            if not right.shape[1]:
                return np.full(len(counts), np.nan)
            size = right + wrong
            after, wanted = np.cumsum(size, axis=1), coverage * size.sum(axis=1)
            cut = np.argmax(after >= wanted[:, None] - 1e-9, axis=1)[:, None]
            reached, here, found, found_here = (
                np.take_along_axis(each, cut, axis=1)[:, 0] for each in (after, size, np.cumsum(right, axis=1), right)
            )
            beyond = np.divide(reached - wanted, here, out=np.zeros(len(counts)), where=here > 0)
            return ratio(found - beyond * found_here, wanted)

        return accuracy

    def _from_the_top(self, counts: Floats) -> tuple[Floats, Floats]:
        right, wrong = self._groups(counts)
        return right[:, ::-1], wrong[:, ::-1]


def _harmonic(counts: Floats) -> Floats:
    most = int(counts.sum(axis=1).max(initial=0))
    return np.r_[0.0, np.cumsum(1 / np.arange(1, most + 1))]
