"""Fit probes on some questions and judge them on others, with shuffled labels as control.

One row per site: AUROC2 of the held-out questions with its interval, log loss, and the AUROC2 of
probes on shuffled labels there (mean, smallest and largest of the shuffles). ``targets`` are the
out-of-fold probabilities of the training questions, so a model may be trained on them. Sign:
probabilities of a right answer.

What the table does not show: the best of many sites on the held-out rows is optimistic; the site of
``probe.best`` was chosen on the training rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.probe.control import ShuffledControl, shuffled_control
from workbench.probe.crossfit import LayerwiseProbe, apply, ensemble_targets, fit_layerwise
from workbench.probe.evaluate import evaluate_layers
from workbench.probe.folds import ProbeSettings
from workbench.probe.states import States


@dataclass(frozen=True, eq=False)
class HeldOutProbe:
    """The probes of every layer and position, with their scores on held-out questions.

    Attributes:
        held_out: [m, layers, positions] probability that each held-out answer is right.
        layers: one row per site: layer, position, auroc2, auroc2_within, log_loss, auroc2_shuffled
            with their intervals.
        targets: [n] out-of-fold probability of each training answer, by the sites that are best
            without its fold.
    """

    probe: LayerwiseProbe
    held_out: NDArray[np.float64]
    layers: pd.DataFrame
    control: ShuffledControl
    targets: NDArray[np.float64]


def fit_and_judge(
    states: States,
    correct: ArrayLike,
    held_out_states: States,
    held_out_correct: ArrayLike,
    settings: ProbeSettings,
    *,
    positions: Sequence[str],
    held_out_domain: ArrayLike | None,
    shuffles: int,
    ensemble_sites: int,
    resamples: int,
    seed: int,
) -> HeldOutProbe:
    """Fit a probe at every layer and position and judge it on held-out questions.

    Args:
        states: [n, layers, positions, width] of the training questions, with ``correct`` [n].
        held_out_states: [m, layers, positions, width], with ``held_out_correct`` [m].
        held_out_domain: [m] for AUROC2 within domain; None leaves it out.
        shuffles: how often labels are shuffled for the control.
        ensemble_sites: how many sites make a target together, at most.
        resamples: of the bootstrap over held-out questions.

    Raises:
        WorkbenchError: for states that are not finite, labels of nearly one class, or too few rows.
    """
    probe = fit_layerwise(states, correct, settings)
    held_out = apply(probe, held_out_states)
    layers = evaluate_layers(
        held_out,
        held_out_correct,
        held_out_domain,
        positions=positions,
        resamples=resamples,
        seed=seed,
    )
    control = shuffled_control(
        probe,
        states,
        held_out_states,
        held_out_correct,
        n_shuffles=shuffles,
        seed=seed,
        held_out_domain=held_out_domain,
    )
    shuffled = control.auroc2
    layers["auroc2_shuffled"] = shuffled.mean(axis=0).reshape(-1)
    layers["auroc2_shuffled.low"] = shuffled.min(axis=0).reshape(-1)
    layers["auroc2_shuffled.high"] = shuffled.max(axis=0).reshape(-1)
    members = min(ensemble_sites, probe.intercept.size)
    return HeldOutProbe(
        probe, held_out, layers, control, ensemble_targets(probe, "log_loss", members)
    )
