"""Give texts that state no number a score, so that a change cannot seem to help by silencing the
answers it gets wrong.

A text without a number tells nothing of its question. It is scored with the median of the numbers
that are written, which is neither surer nor less sure than the usual one; where none is written all
texts are scored alike. Sign: that of the numbers.
"""

from __future__ import annotations

import numpy as np

from workbench.arrays import Floats


def score_unwritten(written: Floats) -> Floats:
    """Return ``written`` [n] with the median in place of NaN."""
    silent = np.isnan(written)
    if silent.all():
        return np.zeros(len(written))
    return np.where(silent, np.median(written[~silent]), written)
