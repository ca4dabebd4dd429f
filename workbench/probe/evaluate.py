"""Make the layer-by-position table: how well correctness is read at each site on held-out
questions.

One row per site: AUROC2 pooled and macro-averaged within domain, each with a bootstrap interval
over questions, and log loss. The same resamples serve all sites, so curves over layers can be
compared; pooled resamples are drawn over all questions, those of the within-domain value within
each domain, as :func:`workbench.measure.auroc2_within_estimate` does. Sign: above .5 means that
right answers get the higher probability. What it does not show: intervals are for a site named
beforehand; the best of many sites on these rows is optimistic, so choose the site with
``LayerwiseProbe.best`` (training rows) and read its row here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure import Estimate, bootstrap_counts
from workbench.measure.discrimination import Auroc2, Auroc2Within
from workbench.measure.inputs import checked_domain
from workbench.probe.crossfit import log_loss


def evaluate_layers(
    probabilities: Floats,
    correct: ArrayLike,
    domain: ArrayLike | None,
    *,
    positions: Sequence[str],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Return the table with columns layer, position, auroc2, auroc2.low, auroc2.high,
    auroc2_within, .low, .high, log_loss.

    ``probabilities`` [n, layers, positions] of held-out questions (from
    :func:`workbench.probe.apply`), ``correct`` [n], ``domain`` [n] or None (within-domain values
    are then NaN), ``positions`` their names. Log loss is in nats.

    Raises:
        WorkbenchError: if ``correct`` or ``positions`` does not fit the probabilities.
    """
    labels = np.asarray(correct)
    if probabilities.ndim != 3 or labels.shape != probabilities.shape[:1]:
        raise WorkbenchError(
            f"probabilities {probabilities.shape} need one correct per question; got {labels.shape}"
        )
    if len(positions) != probabilities.shape[2]:
        raise WorkbenchError(
            f"{len(positions)} names for {probabilities.shape[2]} positions; give each one a name"
        )
    truth = labels.astype(np.bool_)
    pooled = _pooled(probabilities, truth, resamples=resamples, seed=seed)
    within = _within(probabilities, truth, domain, resamples=resamples, seed=seed)
    losses = log_loss(probabilities, truth)
    return pd.DataFrame(
        [
            {"layer": layer, "position": positions[position]}
            | pooled[f"{layer},{position}"].to_dict("auroc2")
            | within[f"{layer},{position}"].to_dict("auroc2_within")
            | {"log_loss": losses[layer, position]}
            for layer, position in np.ndindex(losses.shape)
        ]
    )


class _OfSite:
    """The statistic of one site, made anew for every counts: one that stays remembers how it
    grouped the latest resamples, which for all sites together would be larger than their states.
    """

    def __init__(self, make: Callable[[], Auroc2 | Auroc2Within]) -> None:
        self._make = make

    def __call__(self, counts: Floats) -> Floats:
        return self._make()(counts)

    def told(self, counts: Floats) -> Floats:
        return self._make().told(counts)


def _pooled(
    probabilities: Floats, truth: NDArray[np.bool_], *, resamples: int, seed: int
) -> dict[str, Estimate]:
    statistics = {
        f"{layer},{position}": _OfSite(partial(Auroc2, probabilities[:, layer, position], truth))
        for layer, position in np.ndindex(probabilities.shape[1:])
    }
    return bootstrap_counts(statistics, len(truth), resamples=resamples, seed=seed)


def _within(
    probabilities: Floats,
    truth: NDArray[np.bool_],
    domain: ArrayLike | None,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Estimate]:
    sites = list(np.ndindex(probabilities.shape[1:]))
    if domain is None:
        nothing = Estimate(np.nan, np.nan, np.nan, len(truth))
        return {f"{layer},{position}": nothing for layer, position in sites}
    codes = checked_domain(domain, len(truth))
    statistics = {
        f"{layer},{position}": _OfSite(
            partial(Auroc2Within, probabilities[:, layer, position], truth, codes)
        )
        for layer, position in sites
    }
    return bootstrap_counts(statistics, len(truth), resamples=resamples, seed=seed, strata=codes)
