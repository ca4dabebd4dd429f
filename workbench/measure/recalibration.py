"""Recalibrate confidence post hoc: how much of the calibration error would a map of one number to
another have removed?

Each map is fitted on one split and must be scored on another. Forecasts enter as log-odds, clipped
to [clip, 1 - clip]: Platt: p' = sigmoid(a logit p + b), unpenalised logistic regression
(scikit-learn); a negative slope reverses the order. Temperature: p' = sigmoid(logit p / T), T > 0
by maximum likelihood; it keeps the order and the side of one half. Isotonic: the best
non-decreasing step map (scikit-learn), constant beyond the forecasts it was fitted on. The score
does not show discrimination, which hardly changes (isotonic merges values, a negative Platt slope
reverses them). So a well recalibrated confidence may still not tell right from wrong. A base model
recalibrated like this is the control of every trained recipe. NaN forecasts are not used for
fitting and stay NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from workbench.arrays import Bools, Floats
from workbench.errors import WorkbenchError
from workbench.measure.calibration import brier, ece
from workbench.measure.inputs import checked_probability
from workbench.measure.log_score import CLIP, log_score
from workbench.settings.defaults import BINS

Map = Callable[[Floats], Floats]
_TEMPERATURES = (0.01, 1000.0)


@dataclass(frozen=True)
class CalibrationScore:
    """The scores of a forecast on the answers it was scored on; lower is better for all three."""

    ece: float
    brier: float
    log_score: float


def platt(probability: ArrayLike, correct: ArrayLike) -> Map:
    """Fit Platt's map on ``probability`` [n] (0-1) and ``correct`` [n]."""
    from sklearn.linear_model import LogisticRegression

    scores, labels = _fitting(probability, correct)
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000).fit(
        _odds(scores)[:, None], labels
    )
    slope, offset = float(model.coef_[0, 0]), float(model.intercept_[0])
    return lambda p: expit(slope * _odds(p) + offset)


def temperature(probability: ArrayLike, correct: ArrayLike) -> Map:
    """Fit the temperature map; T is searched between 0.01 and 1000."""
    scores, labels = _fitting(probability, correct)
    odds, sign = _odds(scores), np.where(labels, 1.0, -1.0)

    def loss(log_t: float) -> float:
        return float(np.logaddexp(0, -sign * odds / np.exp(log_t)).mean())

    best = minimize_scalar(
        loss, bounds=tuple(np.log(_TEMPERATURES)), method="bounded", options={"xatol": 1e-8}
    )
    scale = float(np.exp(best.x))
    return lambda p: expit(_odds(p) / scale)


def isotonic(probability: ArrayLike, correct: ArrayLike) -> Map:
    """Fit the isotonic map; between two fitted forecasts it is linear."""
    from sklearn.isotonic import IsotonicRegression

    scores, labels = _fitting(probability, correct)
    model = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)

    def mapped(p: Floats) -> Floats:
        known = ~np.isnan(p)
        out = np.full(p.shape, np.nan)
        if known.any():
            out[known] = model.predict(p[known])
        return out

    return mapped


RECALIBRATIONS: Mapping[str, Callable[[ArrayLike, ArrayLike], Map]] = {
    "platt": platt,
    "temperature": temperature,
    "isotonic": isotonic,
}


def recalibrated_scores(
    probability: ArrayLike, correct: ArrayLike, fit_on: ArrayLike, *, bins: int = BINS
) -> dict[str, CalibrationScore]:
    """Return the scores of the forecast as it is ("none") and after each map, fitted where
    ``fit_on`` [n], scored where not.

    Raises:
        WorkbenchError: when either side has no parsed forecast or the fitting side has one class
            only.
    """
    scores, labels = checked_probability(probability, correct)
    fit = np.asarray(fit_on, dtype=np.bool_)
    if fit.shape != scores.shape:
        raise WorkbenchError(
            f"fit_on has shape {fit.shape} for {len(scores)} answers; pass one value per answer"
        )
    held_out, truth = scores[~fit], labels[~fit]
    if np.isnan(held_out).all():
        raise WorkbenchError(
            "recalibration has no parsed forecast left to be scored on; keep some answers out of "
            "fit_on"
        )
    mapped = {"none": held_out}
    mapped |= {
        name: fitter(scores[fit], labels[fit])(held_out) for name, fitter in RECALIBRATIONS.items()
    }
    return {
        name: CalibrationScore(ece(p, truth, bins=bins), brier(p, truth), log_score(p, truth))
        for name, p in mapped.items()
    }


def _fitting(probability: ArrayLike, correct: ArrayLike) -> tuple[Floats, Bools]:
    scores, labels = checked_probability(probability, correct)
    parsed = ~np.isnan(scores)
    if len(np.unique(labels[parsed])) < 2:
        raise WorkbenchError(
            "recalibration is fitted on right and wrong answers; the fitting split holds one kind "
            "only"
        )
    return scores[parsed], labels[parsed]


def _odds(probability: Floats) -> Floats:
    return logit(np.clip(probability, CLIP, 1 - CLIP))
