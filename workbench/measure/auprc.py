"""Measure the area under the precision-recall curve: of the answers called right at each level of
confidence, how many are?

AUPRC is average precision: over the distinct confidences from the top, the sum of (gain in recall)
x (precision so far), equal values entering together. The positive class is a right answer;
:func:`auprc_wrong` asks for the wrong ones, lowest confidence first. Chance is the share of the
positive class, so a value means nothing without the accuracy, and two models of different accuracy
cannot be compared by it. NaN confidences are skipped; with no positive answer the value is NaN.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats
from workbench.measure.discrimination import ValueGroups
from workbench.measure.inputs import checked
from workbench.measure.weighted import once, ratio


def auprc(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the average precision of ``confidence`` [n] (any scale) for right answers [n]."""
    return once(AveragePrecision(ValueGroups(*checked(confidence, correct))), confidence)


def auprc_wrong(confidence: ArrayLike, correct: ArrayLike) -> float:
    """Return the average precision of low ``confidence`` [n] for wrong answers: does low confidence
    find the errors?
    """
    return once(
        AveragePrecision(ValueGroups(*checked(confidence, correct)), of_wrong=True), confidence
    )


class AveragePrecision:
    """The average precision of fixed answers, as a function of how often each question is counted:
    [r, n] -> [r].
    """

    def __init__(self, groups: ValueGroups, *, of_wrong: bool = False) -> None:
        self._groups, self._of_wrong = groups, of_wrong

    def __call__(self, counts: Floats) -> Floats:
        groups = self._groups(counts)
        if self._of_wrong:
            wanted, found, named = (
                groups.wrong,
                groups.wrong_below,
                groups.wrong_below + groups.right_below,
            )
        else:
            wanted, found, named = (
                groups.right,
                groups.right_above,
                groups.right_above + groups.wrong_above,
            )
        precision = np.divide(found, named, out=np.zeros_like(found), where=named > 0)
        return ratio((wanted * precision).sum(axis=1), wanted.sum(axis=1))
