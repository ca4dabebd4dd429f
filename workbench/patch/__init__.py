"""Put one run's states into another: what a state suffices for, layer by layer, and its controls.

A sweep over all layers is one packed forward (:func:`layer_sweep_of_scale`), and a map over layers,
positions, heads or components takes as few as memory allows (:mod:`workbench.patch.maps`). The loop
of hooked forwards is kept as their reference. Effects are computed from the readouts: shift,
following, layer gradient and their nulls, and for maps a tidy table with corrected p-values. The
package also holds :func:`attribute` (all cells from one backward, verified by true patches),
:func:`direct_attribution` (who wrote the logits) and :func:`path_effects` (what one part tells
another directly),
and :func:`generate_branches` (what is written under patches).
"""

from workbench.patch.ablation_values import (
    along,
    matched_noise,
    mean_of_others,
    mean_of_rows,
    zeros,
)
from workbench.patch.attribution import Attribution, Scores, attribute, unverified_scores
from workbench.patch.branches import (
    Cell,
    cell_branches,
    head_sites,
    layer_sites,
    position_branches,
    single_cells,
    site_branches,
    sites_of,
)
from workbench.patch.components import ComponentSet, whole_model
from workbench.patch.controls import (
    CONDITIONS,
    Condition,
    Recorded,
    control_layers,
    derangement,
    donor_readouts,
    donor_states,
)
from workbench.patch.direct_logit_attribution import Direct, direct_attribution
from workbench.patch.edge_attribution import (
    EdgeProposals,
    EdgeScores,
    propose_edges,
    score_edges,
)
from workbench.patch.effect_map import Axis, EffectMap, effect_table, noise_floor, sign_flip_p
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
from workbench.patch.generation import BranchTexts, WrittenText, generate_branches
from workbench.patch.inputs import DonorPairs, ModelInputs, Reading
from workbench.patch.knockout_windows import (
    every_window,
    knock_out_windows,
    layer_windows,
    other_keys,
    window_branches,
)
from workbench.patch.logit_combinations import (
    Combination,
    expected_combination,
    logit_contrast,
    number_contrast,
)
from workbench.patch.maps import (
    Cells,
    PatchedMap,
    component_cells,
    head_cells,
    layer_cells,
    logit_difference,
    patch_map,
    position_cells,
    spans,
    token_log_probabilities,
    token_logits,
    window_cells,
)
from workbench.patch.metrics import Metric, contrast, expected_confidence_of
from workbench.patch.path_patching import Edge, PathEffects, edge_effects, path_effects
from workbench.patch.sweep import (
    ONE_BATCH,
    SweepReading,
    layer_sweep_of_scale,
    read_scale,
    record_number,
)
from workbench.patch.text_branches import TextBranch
from workbench.patch.text_choice import Sampling
from workbench.patch.verification import Agreement, Check, Verification, verify

__all__ = [
    "CONDITIONS",
    "ONE_BATCH",
    "Agreement",
    "Attribution",
    "Axis",
    "BranchTexts",
    "Cell",
    "Cells",
    "Check",
    "Combination",
    "ComponentSet",
    "Condition",
    "Direct",
    "DonorPairs",
    "Edge",
    "EdgeProposals",
    "EdgeScores",
    "EffectMap",
    "Metric",
    "ModelInputs",
    "PatchedMap",
    "PathEffects",
    "Reading",
    "Recorded",
    "Sampling",
    "Scores",
    "Sweep",
    "SweepReading",
    "TextBranch",
    "Verification",
    "WrittenText",
    "along",
    "attribute",
    "cell_branches",
    "clipped_mean_shift",
    "component_cells",
    "contrast",
    "control_layers",
    "derangement",
    "direct_attribution",
    "donor_readouts",
    "donor_states",
    "edge_effects",
    "effect_table",
    "every_window",
    "expected_combination",
    "expected_confidence_of",
    "following",
    "generate_branches",
    "half_layer",
    "head_cells",
    "head_sites",
    "knock_out_windows",
    "layer_cells",
    "layer_gradient",
    "layer_sites",
    "layer_sweep_of_scale",
    "layer_windows",
    "logit_contrast",
    "logit_difference",
    "matched_noise",
    "mean_of_others",
    "mean_of_rows",
    "mean_shift",
    "noise_floor",
    "number_contrast",
    "other_keys",
    "patch_map",
    "path_effects",
    "permutation_p",
    "position_branches",
    "position_cells",
    "propose_edges",
    "ramp_distance",
    "read_scale",
    "record_number",
    "score_edges",
    "sign_flip_p",
    "single_cells",
    "site_branches",
    "sites_of",
    "spans",
    "token_log_probabilities",
    "token_logits",
    "unverified_scores",
    "verify",
    "whole_model",
    "window_branches",
    "window_cells",
    "zeros",
]
