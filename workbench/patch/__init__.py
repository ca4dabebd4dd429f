"""Putting one run's states into another: what a state suffices for, layer by layer, and the controls beside it.

A sweep over all layers is one packed forward (:func:`packed_sweep`); the loop of hooked forwards is kept as its reference.
Effects are computed from the sweep's table: shift, following, layer gradient and their nulls. Beside the sweep stand
:func:`attribute` (all cells from one backward, verified by true patches), :func:`direct_attribution` (who wrote the logits) and
:func:`path_effects` (what one part tells another directly).
"""

from workbench.patch.attribution import Attribution, Scores, attribute, unverified_scores
from workbench.patch.branches import head_sites, layer_sites, position_branches, site_branches, window_branches
from workbench.patch.combinations import Combination, expected_combination, logit_contrast, number_contrast
from workbench.patch.conditions import (
    CONDITIONS,
    Condition,
    Recorded,
    control_layers,
    derangement,
    donor_readouts,
    donor_states,
)
from workbench.patch.cuts import Cut, whole_model
from workbench.patch.direct import Direct, direct_attribution
from workbench.patch.effects import (
    Sweep,
    clipped_mean_shift,
    following,
    half_layer,
    layer_gradient,
    mean_shift,
    permutation_p,
    ramp_distance,
)
from workbench.patch.metrics import Metric, contrast, expected_confidence_of
from workbench.patch.paths import PathEffects, path_effects
from workbench.patch.runs import Run
from workbench.patch.sweep import SweepReading, loop_sweep, packed_sweep, read_numbers, record_number
from workbench.patch.verify import Agreement, Check, Verification, verify

__all__ = [
    "CONDITIONS",
    "Agreement",
    "Attribution",
    "Check",
    "Combination",
    "Condition",
    "Cut",
    "Direct",
    "Metric",
    "PathEffects",
    "Recorded",
    "Run",
    "Scores",
    "Sweep",
    "SweepReading",
    "Verification",
    "attribute",
    "clipped_mean_shift",
    "contrast",
    "control_layers",
    "derangement",
    "direct_attribution",
    "donor_readouts",
    "donor_states",
    "expected_combination",
    "expected_confidence_of",
    "following",
    "half_layer",
    "head_sites",
    "layer_gradient",
    "layer_sites",
    "logit_contrast",
    "loop_sweep",
    "mean_shift",
    "number_contrast",
    "packed_sweep",
    "path_effects",
    "permutation_p",
    "position_branches",
    "ramp_distance",
    "read_numbers",
    "record_number",
    "site_branches",
    "unverified_scores",
    "verify",
    "whole_model",
    "window_branches",
]
