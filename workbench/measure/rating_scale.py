"""Compute validity indices from questionnaire research: is a stated confidence usable as a rating
at all?

On parsed ratings c in percent: ceiling rate L = share >= 95, floor rate F = share <= 5, eleven bins
floor(c / 10) (100 % alone in the last), modal bin share TRIN = the fullest bin's share, bin
sparsity = share of the eleven bins that are empty, and r = Pearson correlation of c with
correctness. Invalid: L >= .70 or TRIN >= .80 or |r| < .05; indeterminate: L >= .40 or TRIN >= .60;
else valid. Source: "Making LLMs Say What They Know" (PT-CSFT) and its released figures. The tier
does not show calibration, and a valid scale may still discriminate poorly (|r| >= .05 asks for very
little).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from workbench.errors import WorkbenchError
from workbench.measure.edges import at_least, at_most, bin_index
from workbench.measure.inputs import checked

Tier = Literal["Valid", "Indeterminate", "Invalid"]
BINS = 11


@dataclass(frozen=True)
class RatingScale:
    """The validity indices of ``n`` parsed ratings; shares are on 0-1, ``pearson_r`` is NaN where
    either side is constant.
    """

    n: int
    ceiling_rate: float
    floor_rate: float
    modal_bin_share: float
    bin_sparsity: float
    pearson_r: float
    tier: Tier


def rating_scale(confidence_percent: ArrayLike, correct: ArrayLike) -> RatingScale:
    """Return the indices and the tier of ``confidence_percent`` [n] (0-100, NaN skipped) against
    ``correct`` [n].

    With no parsed rating the indices are NaN and the tier is Invalid.

    Raises:
        WorkbenchError: for values outside 0-100.
    """
    ratings, labels = checked(confidence_percent, correct)
    parsed = ~np.isnan(ratings)
    ratings, labels = ratings[parsed], labels[parsed]
    if not at_least(ratings / 100, 0).all() or not at_most(ratings / 100, 1).all():
        raise WorkbenchError("a rating lies outside 0-100; the rating scale is read in percent")
    n = len(ratings)
    if n == 0:
        return RatingScale(0, *(float("nan"),) * 5, tier="Invalid")
    shares = ratings / 100
    # Ten bins of ten points and one for 100 % alone.
    filled = np.bincount(
        np.where(at_least(shares, 1), BINS - 1, bin_index(shares, BINS - 1)), minlength=BINS
    )
    ceiling = float(np.mean(at_least(shares, 0.95)))
    modal = float(filled.max() / n)
    r = _pearson(ratings, labels.astype(np.float64))
    return RatingScale(
        n=n,
        ceiling_rate=ceiling,
        floor_rate=float(np.mean(at_most(shares, 0.05))),
        modal_bin_share=modal,
        bin_sparsity=float(np.mean(filled == 0)),
        pearson_r=r,
        tier=tier_of(ceiling, modal, r),
    )


def tier_of(ceiling_rate: float, modal_bin_share: float, pearson_r: float) -> Tier:
    """Return the tier for these indices; an undefined correlation (a constant rating) counts as no
    correlation.
    """
    related = at_least(abs(pearson_r), 0.05)
    if at_least(ceiling_rate, 0.70) or at_least(modal_bin_share, 0.80) or not related:
        return "Invalid"
    if at_least(ceiling_rate, 0.40) or at_least(modal_bin_share, 0.60):
        return "Indeterminate"
    return "Valid"


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
