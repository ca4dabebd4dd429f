"""Fit layer-wise linear probes: can "was my answer correct" be read from the residual stream, and
at which layer and position?

Regularised logistic probes at every site with nested choice of the penalty (:func:`fit_layerwise`),
cross-fitted targets for teaching (:func:`crossfitted_targets`), held-out tables (:func:`apply`,
:func:`evaluate_layers`), a shuffled-label control and the directions of correctness and of
confidence.
"""

from workbench.probe.control import ShuffledControl, shuffled_control, shuffled_scores
from workbench.probe.crossfit import (
    CrossfittedTargets,
    LayerPosition,
    LayerwiseProbe,
    apply,
    crossfitted_targets,
    ensemble_targets,
    fit_layerwise,
)
from workbench.probe.direction import Direction, confidence_direction, correctness_direction, cosine
from workbench.probe.evaluate import evaluate_layers
from workbench.probe.folds import Criterion, ProbeSettings, stratified_folds
from workbench.probe.held_out import HeldOutProbe, fit_and_judge

__all__ = [
    "Criterion",
    "CrossfittedTargets",
    "Direction",
    "HeldOutProbe",
    "LayerPosition",
    "LayerwiseProbe",
    "ProbeSettings",
    "ShuffledControl",
    "apply",
    "confidence_direction",
    "correctness_direction",
    "cosine",
    "crossfitted_targets",
    "ensemble_targets",
    "evaluate_layers",
    "fit_and_judge",
    "fit_layerwise",
    "shuffled_control",
    "shuffled_scores",
    "stratified_folds",
]
