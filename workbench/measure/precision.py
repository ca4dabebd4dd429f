"""Area under the precision-recall curve: of the answers called right at each level of confidence, how many are?

AUPRC is average precision: over the distinct confidences from the top, the sum of (gain in recall) x (precision so far), equal
values entering together. The positive class is a right answer; :func:`auprc_wrong` asks for the wrong ones, lowest confidence first.
Chance is the share of the positive class, so a value means nothing without the accuracy beside it, and two models of
different accuracy cannot be compared by it. NaN confidences are skipped; with no positive answer the value is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.measure.discrimination import ValueGroups
from workbench.measure.inputs import Bools, Floats, checked


def auprc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Average precision of ``confidence`` [n] (any scale) for right answers [n]."""
    scores, labels = checked(confidence, correct)
    return float(AveragePrecision(scores, labels)(np.ones((1, len(scores))))[0])


def auprc_wrong(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Average precision of low ``confidence`` [n] for wrong answers: does distrust find the errors?"""
    scores, labels = checked(confidence, correct)
    return auprc(-scores, ~labels)


class AveragePrecision:
    """Average precision of fixed answers as a function of how often each question is counted: [r, n] -> [r]."""

    def __init__(self, confidence: Floats, correct: Bools) -> None:
        self._groups = ValueGroups(confidence, correct)

    def __call__(self, counts: Floats) -> Floats:
        right, wrong = (each[:, ::-1] for each in self._groups(counts))
        found = np.cumsum(right, axis=1)
        named = found + np.cumsum(wrong, axis=1)
        precision = np.divide(found, named, out=np.zeros_like(found), where=named > 0)
        total = right.sum(axis=1)
        area = (right * precision).sum(axis=1)
        return np.divide(area, total, out=np.full(len(counts), np.nan), where=total > 0)
