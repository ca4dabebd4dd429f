"""Compute the log score: the surprise of the grade under the forecast, in nats. It is proper like
the Brier score, and harsher on certainty.

log score = mean of -log p if right, -log(1 - p) if wrong; lower is better, a forecast at the base
rate b scores the entropy of b. A stated 0 or 100 that turns out wrong has infinite surprise, and
stated confidences are full of 100s: forecasts are therefore clipped to [clip, 1 - clip] first. The
value depends on the clip wherever that happens, so the clip is always reported with it, and a
clipped score is proper only inside it. NaN forecasts (unparsed replies) are skipped.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.inputs import checked_probability

CLIP = 0.001


def log_score(probability: ArrayLike, correct: ArrayLike, *, clip: float = CLIP) -> float:
    """Return the mean negative log-likelihood in nats of ``correct`` [n] under ``probability`` [n];
    NaN with no parsed forecast.

    ``clip`` 0 gives the unclipped score, which is infinite when a forecast of 0 or 1 was wrong.
    """
    losses = surprise(*checked_probability(probability, correct), clip)
    return float(np.nanmean(losses)) if (~np.isnan(losses)).any() else float("nan")


def surprise(probability: Floats, correct: Bools, clip: float) -> Floats:
    """Return -log of the probability given to what happened, per answer [n]; NaN where unparsed.

    Raises:
        WorkbenchError: for a clip outside 0 to 0.5.
    """
    if not 0 <= clip < 0.5:
        raise WorkbenchError(
            f"the log score's clip lies between 0 and 0.5, for example 0.001; got {clip}"
        )
    given = np.where(correct, probability, 1 - probability)
    with np.errstate(divide="ignore"):
        # Adding 0.0 turns the -0.0 of a certain and right forecast into 0.0.
        return -np.log(np.clip(given, clip, 1 - clip)) + 0.0
