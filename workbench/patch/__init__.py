"""Putting one run's states into another: what a state suffices for, layer by layer, and the controls beside it.

A sweep over all layers is one packed forward (:func:`packed_sweep`); the loop of hooked forwards is kept as its reference.
Effects are computed from the sweep's table: shift, following, layer gradient and their nulls.
"""

from workbench.patch.branches import head_sites, layer_sites, position_branches, site_branches, window_branches
from workbench.patch.conditions import (
    CONDITIONS,
    Condition,
    Recorded,
    control_layers,
    derangement,
    donor_readouts,
    donor_states,
)
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
from workbench.patch.sweep import SweepReading, loop_sweep, packed_sweep, read_numbers, record_number

__all__ = [
    "CONDITIONS",
    "Condition",
    "Recorded",
    "Sweep",
    "SweepReading",
    "clipped_mean_shift",
    "control_layers",
    "derangement",
    "donor_readouts",
    "donor_states",
    "following",
    "half_layer",
    "head_sites",
    "layer_gradient",
    "layer_sites",
    "loop_sweep",
    "mean_shift",
    "packed_sweep",
    "permutation_p",
    "position_branches",
    "ramp_distance",
    "read_numbers",
    "record_number",
    "site_branches",
    "window_branches",
]
