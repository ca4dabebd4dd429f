"""Record the states that a layer computes in patched branches, packed: many patches of one layer,
one pass.

Every branch is one patch. All are appended after the same layer and the pass ends after the sites'
layer, so a pass costs the prompts up to there and the branches' tokens from their patch to the
token read, in one or two layers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.dispatch import keeps_weights_away
from workbench.patch.inputs import ModelInputs, batch_of
from workbench.trace.batches import map_batches
from workbench.trace.branch_groups import plan_groups, tail_room
from workbench.trace.branches import branch_columns, first_layer_of, lay_out
from workbench.trace.checks import require_branches, require_sites, require_within_invocation
from workbench.trace.edits import Recording
from workbench.trace.forward import run_joint
from workbench.trace.interventions import Patch
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE


def record_branches(
    run: ModelInputs,
    patches: Sequence[Patch],
    read: Tensor,
    sites: Sequence[Site],
    *,
    tokens_per_forward: int,
) -> Tensor:
    """Record the states of ``sites`` at token ``read`` [rows] in every branch: [rows, patches,
    sites, width].

    Args:
        patches: all appended after one layer, at or below the sites' layer.
        sites: of one layer and one width.

    Raises:
        WorkbenchError: for patches of several layers, sites of several layers, and sites below the
            patches.
    """
    lm, lengths = run.lm, run.lengths
    require_sites(lm, sites)
    branches = [(patch,) for patch in patches]
    positions = require_branches(lm, lengths, branches, 0)
    with run.within():
        require_within_invocation(lm, positions, lengths)
    layers, first_layers = (
        {site.layer for site in sites},
        {first_layer_of(patch.site) for patch in patches},
    )
    if len(layers) != 1 or len(first_layers) != 1 or max(first_layers) >= min(layers):
        raise WorkbenchError(
            "Branches to record are patched in one layer and read in one layer, not below."
        )
    (layer,) = layers
    # As in record_only: hooks that put weights away must see the end of the pass.
    top = None if keeps_weights_away(lm.base()) else layer
    wanted = int((lengths[:, None] - positions).max()) * len(patches)
    room = tail_room(tokens_per_forward, int(lengths.max()), wanted)

    def compute(numbers: NDArray[np.int64]) -> Tensor:
        rows = torch.as_tensor(numbers)
        prompts = batch_of(run, rows, NO_TREE).prompts
        where = branch_columns(
            prompts, branches, positions[rows], rows, late=lm.architecture.independent
        )
        sizes = (prompts.columns - where.first()).tolist()
        at = read[rows.to(read.device)].to(lm.device) - prompts.lengths + 1
        groups = [group for group in plan_groups(sizes, where.first_layers, room, room) if group]
        found: list[Tensor] = []
        for group in groups:
            layout = lay_out(prompts, NO_TREE, where, group, prompts.columns)
            recording = Recording(layout.read[:, :, 0] + at[:, None], tuple(sites), {})
            with run.within():
                run_joint(lm, prompts, layout.tail, recording, layout.writes, None, stop_after=top)
            found.append(recording.stacked(lm.device).transpose(1, 2))
        back = torch.as_tensor([branch for group in groups for branch in group]).argsort()
        return torch.cat(found, dim=1)[:, back.to(lm.device)]

    return map_batches(lengths.tolist(), tokens_per_forward, compute, room)
