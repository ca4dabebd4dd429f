"""Find directions in the residual stream: that of correctness, and that of stated or expected
confidence.

Confidence is regressed on the standardised states of one site by ridge regression, its penalty
chosen by exact leave-one-out (``RidgeCV``). The cosine with the probe's direction of correctness
says whether both are the same reading of the state. Sign: along a direction confidence (or the
log-odds of being right) rises; cosine 1 = the same direction, 0 = unrelated. What the cosine does
not show: estimated directions are noisy, which pulls it towards 0, and penalties pull both towards
the directions of large variance, away from 0. Two unrelated random directions have |cosine| about
sqrt(2 / (pi width)). Neither direction need be one the model uses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.probe.crossfit import LayerPosition, LayerwiseProbe

FEWEST_ROWS = 10


@dataclass(frozen=True)
class Direction:
    """A linear reading of states [width]: value = states . weights + intercept; ``scale`` [width]
    of each feature.

    ``weights`` are per unit of state, ``weights * scale`` per standard deviation.
    """

    weights: Floats
    intercept: float
    scale: Floats

    def __post_init__(self) -> None:
        if self.weights.ndim != 1 or self.weights.shape != self.scale.shape:
            raise ValueError(
                f"weights {self.weights.shape} and scale {self.scale.shape} must both be [width]"
            )

    @property
    def standardised(self) -> Floats:
        """The weights [width] on standardised features."""
        return self.weights * self.scale


def correctness_direction(probe: LayerwiseProbe, site: LayerPosition) -> Direction:
    """Return the probe's direction at ``site``, in log-odds of a right answer; add multiples of
    ``weights`` to states to steer.
    """
    at = (site.layer, site.position)
    return Direction(probe.weights[at], float(probe.intercept[at]), probe.scale[at])


def confidence_direction(
    states: ArrayLike, confidence: ArrayLike, alphas: Sequence[float]
) -> Direction:
    """Fit the ridge direction of ``confidence`` [n] (any unit, NaN = unparsed, left out) in
    ``states`` [n, width] of one site.

    ``alphas`` are the penalties to choose from.

    Raises:
        WorkbenchError: for fewer than 10 rows, constant confidence, or states that are not finite.
    """
    features = np.asarray(states, dtype=np.float64)
    values = np.asarray(confidence, dtype=np.float64)
    if features.ndim != 2 or values.shape != features.shape[:1]:
        raise WorkbenchError(
            f"states {features.shape} and confidence {values.shape}: pass the states of one layer "
            "and position "
            "[questions, width] and one confidence each"
        )
    parsed = ~np.isnan(values)
    features, values = features[parsed], values[parsed]
    if len(values) < FEWEST_ROWS:
        raise WorkbenchError(
            f"only {len(values)} questions have a confidence; a direction needs at least "
            f"{FEWEST_ROWS}"
        )
    if np.ptp(values) == 0:
        raise WorkbenchError(
            "every confidence is the same, so it has no direction; use the expected confidence "
            "instead"
        )
    if not np.isfinite(features).all():
        raise WorkbenchError(
            "a state is not finite; trace in float32 or bfloat16, or drop that question"
        )
    scaler = StandardScaler().fit(features)
    ridge = RidgeCV(alphas=np.asarray(alphas, dtype=np.float64)).fit(
        scaler.transform(features), values
    )
    weights = ridge.coef_ / scaler.scale_
    return Direction(weights, float(ridge.intercept_ - weights @ scaler.mean_), scaler.scale_)


def cosine(first: Direction, second: Direction) -> float:
    """Return the cosine of two directions as coefficients of features standardised by
    ``first.scale``; NaN when one is zero.

    Both are brought to one scale, that of ``first``, because a cosine of raw weights is ruled by
    the features that vary least.

    Raises:
        WorkbenchError: for directions of different width.
    """
    if first.weights.shape != second.weights.shape:
        raise WorkbenchError(
            f"directions of width {len(first.weights)} and {len(second.weights)} cannot be compared"
        )
    a, b = first.weights * first.scale, second.weights * first.scale
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else float("nan")
