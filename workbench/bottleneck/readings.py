"""Read correctness out of what a step holds as well as a linear probe can, without looking at the
questions it is judged on.

What a step holds is a vector for each question at one or several layers: hidden states, or the
log-probabilities of all values of the scale. A probe is fitted at each layer on training questions
(:mod:`workbench.probe.crossfit`); the layer is chosen on them too. Scores of training questions are
out of fold, the layer with them; those of held-out questions come from the final fit. Sign:
probabilities of a right answer.

A curve over layers is of held-out questions: its best layer is optimistic, and is not the one that
was chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

from workbench.arrays import Bools, Floats
from workbench.bottleneck.steps import Step
from workbench.probe import ProbeSettings, apply, crossfitted_targets, fit_layerwise
from workbench.probe.crossfit import log_loss
from workbench.probe.states import States


@dataclass(frozen=True, eq=False)
class Reading:
    """The best reading of a step.

    Attributes:
        step: its scores of training and held-out questions.
        layer: the index on the axis of layers that was chosen on training questions.
        by_layer: [n, layers] probabilities of held-out questions at every layer.
        out_of_fold: [m, layers] those of training questions, each from a fit without its fold.
        weights: [layers, width] the probes' directions, on the vectors as they are.
        inverse_penalties: [layers] the probes' C.
        training_log_loss: [layers] out-of-fold, by which the layer was chosen.
    """

    step: Step
    layer: int
    by_layer: Floats
    out_of_fold: Floats
    weights: Floats
    inverse_penalties: Floats
    training_log_loss: Floats


def read_best(
    name: str,
    training: States,
    correct: Bools,
    held_out: States,
    settings: ProbeSettings,
) -> Reading:
    """Fit a probe at every layer of ``training`` [m, layers, width] on grades [m], and read
    ``held_out`` [n, layers, width] at the chosen one.
    """
    probe = fit_layerwise(_one_position(training), correct, settings)
    by_layer = apply(probe, _one_position(held_out))[:, :, 0]
    targets = crossfitted_targets(probe, "log_loss")
    layer = probe.best.layer
    return Reading(
        Step(name, targets.probability, by_layer[:, layer]),
        layer,
        by_layer,
        probe.out_of_fold[:, :, 0],
        probe.weights[:, 0],
        probe.c[:, 0],
        log_loss(probe.out_of_fold, correct)[:, 0],
    )


def _one_position(vectors: States) -> States:
    return vectors[:, :, None]
