"""Compute semantic entropy: how uncertain the model is about the meaning of its answer (Farquhar et
al. 2024, Nature 630).

Sampled answers are in groups of the same meaning. The discrete entropy takes each group's share of
the samples; the weighted one takes the likelihoods of the group's distinct token sequences, scaled
to add up to one over all that were sampled. In nats. Sign: the scores are minus the entropy, so
larger means more confident and 0 is the most. Entropy measures the spread over meanings and says
nothing about the greedy answer; k samples never show more than log k. With a judge that finds
everything alike it is 0 for every question.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.elicit.baselines.consistency import shares
from workbench.pipeline.store import ROW


def semantic_entropies(samples: pd.DataFrame, groups: pd.DataFrame) -> pd.DataFrame:
    """Return ``discrete`` and ``weighted`` entropy in nats, one line per question in order of
    ``row``.

    Args:
        samples: of :func:`workbench.elicit.baselines.sampling.sampled_batch`.
        groups: of :func:`workbench.elicit.baselines.clusters.grouped_batch`, line for line of the
            same samples.
    """
    both = samples.assign(group=groups["group"].to_numpy())
    return pd.DataFrame([_of_one(lines) for _, lines in both.groupby(ROW)])


def _of_one(lines: pd.DataFrame) -> dict[str, float]:
    group = lines["group"].to_numpy()
    distinct = ~lines["path"].duplicated().to_numpy()
    weight = shares(lines["log_likelihood"].to_numpy(dtype=float)[distinct])
    return {
        "discrete": entropy(_sums(group, np.full(len(group), 1 / len(group)))),
        "weighted": entropy(_sums(group[distinct], weight)),
    }


def _sums(group: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of the weights of each group."""
    return np.bincount(group, weights=weights).astype(np.float64)


def entropy(shares_: NDArray[np.float64]) -> float:
    """Return the entropy, in nats, of shares [n] that add up to one; shares of zero add nothing."""
    some = shares_[shares_ > 0]
    return float(-(some * np.log(some)).sum()) + 0.0
