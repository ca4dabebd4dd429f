"""Make targets from self-consistency: the accuracy of answers about which the model was equally
consistent.

Source: Steyvers, Belem, Smyth 2025 (arXiv 2510.05126). Shares of the most frequent sampled answer
are cut into bins of about equal size; a question's target is its level, the accuracy of the greedy
answers in its bin, plus a uniform draw of at most ``NOISE``, so that the targets of a bin are a
range and not a number. Targets are alike for right and wrong answers of a bin, so a question's
grade does not tell it apart from its neighbours. Bins are balanced by subsampling, whatever the
grades in them: keeping only questions whose most frequent answer is right would leave nothing to
tell apart. The targets hold nothing that consistency does not tell; within a bin they are noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.teach.target_inputs import TargetInputs

SOURCE = "consistency"
MOST_BINS = 5
NOISE = 0.05


def consistency_targets(inputs: TargetInputs) -> NDArray[np.float64]:
    """Return the samples' agreement unchanged: the share [n] of the most frequent answer."""
    return inputs.source(SOURCE)


def consistency_bins(share: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin numbers [n], from 0, of ``share`` [n]; at most ``MOST_BINS`` bins.

    Equal shares are never parted. Where the smallest share fills a bin, it is alone in it.
    """
    edges = np.quantile(share, np.linspace(0, 1, MOST_BINS + 1)[1:-1])
    above = share[share > share.min()]
    if len(above):
        edges = np.maximum(edges, above.min())
    codes = np.searchsorted(edges, share, side="right")
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def bin_levels(inputs: TargetInputs) -> NDArray[np.float64]:
    """Return the accuracy of each question's bin: [n], equal within a bin.

    Raises:
        WorkbenchError: if the samples of all questions agree equally often.
    """
    bins = consistency_bins(inputs.source(SOURCE))
    if bins.max() == 0:
        raise WorkbenchError(
            "The sampled answers of all training questions agree equally often, so consistency "
            "tells nothing apart; take harder "
            "questions, or more of them."
        )
    right = np.bincount(bins, weights=inputs.correct) / np.bincount(bins)
    return right[bins]


def bin_targets(inputs: TargetInputs) -> NDArray[np.float64]:
    """Return the levels of :func:`bin_levels`, blurred: [n]."""
    levels = bin_levels(inputs)
    noise = np.random.default_rng(inputs.seed).uniform(-NOISE, NOISE, size=len(levels))
    return np.clip(levels + noise, 0, 1)


def balanced_bins(inputs: TargetInputs) -> NDArray[np.int64]:
    """Return the numbers of the questions to train on, ascending: as many of each bin as the
    smallest one holds, drawn by seed.
    """
    bins = consistency_bins(inputs.source(SOURCE))
    size = int(np.bincount(bins).min())
    rng = np.random.default_rng(inputs.seed)
    drawn = [
        rng.permutation(np.flatnonzero(bins == code))[:size] for code in range(int(bins.max()) + 1)
    ]
    return np.sort(np.concatenate(drawn))
