"""Choose the confidence that a training example should state.

Targets come from probabilities that were cross-fitted: each question's value is predicted by a
probe that never saw it. The shuffled control permutes the same probabilities over the questions, so
it keeps their distribution and the recipe and breaks only the link to the question.

A target is one value of the scale, to be written as text, or a distribution over the scale around
the probability: a probe's probability is itself uncertain by some points, and a distribution tells
the model so, at every value at once instead of through the one token sequence that rounding
happened to give.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from workbench.elicit.scales import Scale
from workbench.errors import WorkbenchError

FEWEST_EXAMPLES = 50
DRAWS = 200


def check_targets(probability: NDArray[np.floating]) -> None:
    """Refuse too few examples, and values that are no probabilities.

    Raises:
        WorkbenchError: for both.
    """
    if len(probability) < FEWEST_EXAMPLES:
        raise WorkbenchError(
            f"Teaching needs at least {FEWEST_EXAMPLES} examples, there are {len(probability)}; "
            "raise questions.limit."
        )
    if not np.isfinite(probability).all() or probability.min() < 0 or probability.max() > 1:
        raise WorkbenchError(
            "Targets must be probabilities between 0 and 1; check the probe's output."
        )


def scale_targets(probability: NDArray[np.floating], scale: Scale) -> NDArray[np.number]:
    """Return the scale value nearest to each probability of being correct."""
    check_targets(probability)
    values = np.asarray(scale.values, dtype=np.float64) / scale.certain
    return np.asarray(scale.values)[np.abs(values - probability[:, None]).argmin(axis=1)]


def spread_targets(
    probability: NDArray[np.floating], scale: Scale, spread: float
) -> NDArray[np.float64]:
    """Return a bell of standard deviation ``spread`` (a share of certainty) around each
    probability: [n, values], rows sum to 1.

    Raises:
        WorkbenchError: for a spread that is not positive.
    """
    check_targets(probability)
    if not spread > 0:
        raise WorkbenchError(
            f"The spread of a target is {spread}; give a positive share of the scale, such as 0.06."
        )
    values = np.asarray(scale.values, dtype=np.float64) / scale.certain
    exponent = -0.5 * ((values - probability[:, None]) / spread) ** 2
    bell = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return bell / bell.sum(axis=1, keepdims=True)


def shuffled_targets(targets: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Return the same targets, permuted over the questions in :func:`shuffled_order`."""
    return targets[shuffled_order(targets, seed)]


def shuffled_order(targets: NDArray[np.float64], seed: int) -> NDArray[np.int64]:
    """Return the question [n] whose target each question gets: of ``DRAWS`` permutations the one
    least rank-correlated with the targets.

    A permutation that agrees with the targets by chance trains a part of them, and that part is the
    easiest to learn.
    """
    orders = np.random.default_rng(seed).permuted(
        np.tile(np.arange(len(targets)), (DRAWS, 1)), axis=1
    )
    ranks = rankdata(targets) - (len(targets) + 1) / 2
    return orders[np.abs(ranks[orders] @ ranks).argmin()]
