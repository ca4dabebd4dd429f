"""Measure confidence-gated retrieval: look it up only where the model is not sure. What does the
gate gain over looking up at random?

Every question has two grades: the model's answer alone and its answer with retrieved text. The
least confident questions are retrieved first, unparsed replies before all others (no confidence
supports them), ties in expectation over their order. At retrieval rate b the gated accuracy is
compared with that of retrieving a random share b, the straight line between the two accuracies:
gain(b) = gated(b) - random(b), zero at 0 and 1. Mean gain is its area. Positive: confidence knows
where retrieval helps. The gain does not show the price of a retrieval, and retrieval can hurt:
random(1) may be below random(0).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.inputs import checked


@dataclass(frozen=True)
class GatedRetrieval:
    """The accuracy by retrieval rate: ``rate`` [v] rising from 0 to 1, ``gated`` [v] and ``random``
    [v].
    """

    rate: Floats
    gated: Floats
    random: Floats

    @property
    def mean_gain(self) -> float:
        """The area between gated and random accuracy over the retrieval rate."""
        return float(np.trapezoid(self.gated - self.random, self.rate))

    def gain_at(self, rate: float) -> float:
        """Return gated minus random accuracy when a share ``rate`` of the questions is looked up.

        Raises:
            WorkbenchError: for a rate outside 0 to 1.
        """
        if not 0 <= rate <= 1:
            raise WorkbenchError(f"a retrieval rate is a share between 0 and 1; got {rate}")
        return float(np.interp(rate, self.rate, self.gated - self.random))


def gated_retrieval(
    confidence: ArrayLike, correct: ArrayLike, correct_retrieved: ArrayLike
) -> GatedRetrieval:
    """Return the curve of ``confidence`` [n] (any scale, NaN = unparsed) with both grades [n]; one
    point per distinct value.

    Raises:
        WorkbenchError: for no questions.
    """
    scores, own = checked(confidence, correct)
    _, looked_up = checked(confidence, correct_retrieved)
    if not len(scores):
        raise WorkbenchError("gated retrieval needs at least one question")
    order = np.where(np.isnan(scores), -np.inf, scores)
    values, inverse = np.unique(order, return_inverse=True)
    size = np.bincount(inverse, minlength=len(values))
    change = np.bincount(
        inverse, looked_up.astype(float) - own.astype(float), minlength=len(values)
    )
    rate = np.r_[0.0, np.cumsum(size) / len(scores)]
    gated = own.mean() + np.r_[0.0, np.cumsum(change)] / len(scores)
    return GatedRetrieval(rate, gated, own.mean() + rate * (looked_up.mean() - own.mean()))
