"""What confidence a training example should state.

Targets come from probabilities that were cross-fitted: each question's value is predicted by a probe that never saw it.
The shuffled twin permutes the same targets over the questions, so it keeps their distribution and the recipe and breaks
only the link to the question.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.elicit.formats import Scale
from workbench.errors import WorkbenchError

FEWEST_EXAMPLES = 50


def scale_targets(probability: NDArray[np.floating], scale: Scale) -> NDArray[np.int64]:
    """The scale value nearest to each probability of being correct."""
    if len(probability) < FEWEST_EXAMPLES:
        raise WorkbenchError(
            f"Teaching needs at least {FEWEST_EXAMPLES} examples, there are {len(probability)}; raise questions.limit."
        )
    if not np.isfinite(probability).all() or probability.min() < 0 or probability.max() > 1:
        raise WorkbenchError("Targets must be probabilities between 0 and 1; check the probe's output.")
    values = np.asarray(scale.values, dtype=np.float64) / scale.certain
    return np.asarray(scale.values)[np.abs(values - probability[:, None]).argmin(axis=1)]


def shuffled_targets(targets: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """The same targets, permuted over the questions."""
    return np.random.default_rng(seed).permutation(targets)
