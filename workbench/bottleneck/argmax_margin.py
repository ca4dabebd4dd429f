"""Measure how far the written value stands above its runner-up, and whether any question moves it.

The text writes the value with the highest probability, so the text can only tell questions apart
where the order of values changes between them. For each question the *margin* is log p of the first
value minus log p of the second, in nats. How far questions move that very difference is its
standard deviation over all questions; an answer whose margin is smaller than that *can flip*.

Sign: a larger margin, a surer argmax. The difference between right and wrong answers is right minus
wrong. Margins are of whole values, not of the tokens they are written in.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.arrays import Bools, Floats
from workbench.bottleneck.fixed_maps import log_of
from workbench.measure import Bootstrap, Estimate, auroc2_estimate, bootstrap


@dataclass(frozen=True)
class ArgmaxMargin:
    """The margin of the first value over the second, and how firm it is.

    Attributes:
        right, wrong: mean margin in nats of answers that are right, and wrong.
        difference: right minus wrong.
        auroc2: of the margin itself as a score.
        moved: mean over questions of how far (one standard deviation over all questions) the
            difference between a question's first and second value moves.
        can_flip: share of questions whose margin is smaller than that.
        commonest: the share of questions with the most frequent first value.
    """

    right: Estimate
    wrong: Estimate
    difference: Estimate
    auroc2: Estimate
    moved: float
    can_flip: Estimate
    commonest: Estimate


def argmax_margin(distribution: Floats, correct: Bools, draw: Bootstrap) -> ArgmaxMargin:
    """Measure the margins of held-out questions' distributions [n, values], with grades [n]."""
    scores = log_of(distribution)
    order = np.argsort(-scores, axis=1, kind="stable")
    rows, first, second = np.arange(len(scores)), order[:, 0], order[:, 1]
    margin = scores[rows, first] - scores[rows, second]
    moved = (scores[:, first] - scores[:, second]).std(axis=0)
    values, counts = np.unique(first, return_counts=True)
    common = first == values[counts.argmax()]
    return ArgmaxMargin(
        bootstrap(np.mean, margin[correct], **draw.options),
        bootstrap(np.mean, margin[~correct], **draw.options),
        bootstrap(_right_minus_wrong, margin, correct, strata=correct, **draw.options),
        auroc2_estimate(margin, correct, **draw.options),
        float(moved.mean()),
        bootstrap(np.mean, margin < moved, **draw.options),
        bootstrap(np.mean, common, **draw.options),
    )


def _right_minus_wrong(margin: Floats, correct: Bools) -> float:
    return float(margin[correct].mean() - margin[~correct].mean())
