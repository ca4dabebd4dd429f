"""Measure how much of a trained confidence depends on the training seed, for discrimination and
shape separately.

``auroc2`` and its spread over seeds ask whether each seed ranks right above wrong answers as well;
``wasserstein`` is the mean Wasserstein-1 distance between the distributions of confidence that two
seeds state over the same questions (on 0-1, so 0.1 means that on average ten points of confidence
would have to be moved). Seeds may rank alike and yet give other numbers; then the shape is a matter
of chance, and a calibration error is that of one seed. Neither shows whether two seeds agree
question by question; ``agreement`` does, as the mean Spearman correlation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata, wasserstein_distance

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.discrimination import auroc2
from workbench.measure.inputs import checked


@dataclass(frozen=True)
class SeedSplit:
    """The spread over ``seeds`` seeds: mean, standard deviation (n - 1) and range of AUROC2; mean
    distance and agreement of pairs of seeds.
    """

    seeds: int
    auroc2: float
    auroc2_sd: float
    auroc2_range: float
    wasserstein: float
    agreement: float


def seed_split(confidence: Mapping[int, ArrayLike], correct: ArrayLike) -> SeedSplit:
    """Return the spread of ``confidence``, by seed [n] on 0-1 (NaN = unparsed), about answers
    graded ``correct`` [n].

    Raises:
        WorkbenchError: for fewer than two seeds.
    """
    if len(confidence) < 2:
        raise WorkbenchError(
            f"A spread over seeds needs at least two seeds, there is {len(confidence)}."
        )
    each = [checked(values, correct) for values in confidence.values()]
    scores = [auroc2(values, labels) for values, labels in each]
    pairs = [(a, b) for (a, _), (b, _) in combinations(each, 2)]
    compared = [(a[both], b[both]) for a, b in pairs for both in [~np.isnan(a) & ~np.isnan(b)]]
    distances = [wasserstein_distance(a, b) if len(a) else float("nan") for a, b in compared]
    agreements = [_rank_correlation(a, b) for a, b in compared]
    return SeedSplit(
        seeds=len(each),
        auroc2=float(np.mean(scores)),
        auroc2_sd=float(np.std(scores, ddof=1)),
        auroc2_range=float(np.ptp(scores)),
        wasserstein=float(np.mean(distances)),
        agreement=float(np.mean(agreements)),
    )


def _rank_correlation(a: Floats, b: Floats) -> float:
    """Return Spearman's rho with ties; NaN where either side is constant."""
    if not len(a) or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])
