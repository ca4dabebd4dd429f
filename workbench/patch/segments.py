"""Patch cells whose places are named parts of conversations, whatever the rows' lengths.

Such a cell writes the donor's states of one or more parts at one or more sites, all together. Parts
of two questions are aligned at their ends and patched over the length of the shorter one, so a
longer question keeps its first tokens. The part at the confidence position takes the tokens that
continue a number with it, so that a patch after the last layer gives exactly the donor's
distribution.

With donors from other questions of the same model the mean distance between donor and base is zero
or nearly so, and a ratio of means says nothing. :func:`orient_to_donor` flips the sign of items so
that every donor's readout is above its base's. The shift then weighs each item by its distance. A
patch that moves only the general level, the same for all, cancels where as many donors are above as
below (:func:`pair_half_ranks_apart`). Positive: towards the donor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.elicit.segments import CONFIDENCE, Segment
from workbench.errors import WorkbenchError
from workbench.patch.branches import Cell, cell_branches, sites_of
from workbench.patch.effect_map import EffectMap
from workbench.patch.inputs import DonorPairs
from workbench.trace.record import record


def patch_cells(
    pairs: DonorPairs, cells: Sequence[Cell[Segment]], rows: Rows
) -> tuple[Floats, Floats]:
    """Return the readouts of ``rows``: unpatched [rows], and with each cell's states of its partner
    [rows, cells].
    """
    base, donor, tree = pairs.base, pairs.donor, pairs.reading.metric.tree
    parts = list(dict.fromkeys(part for cell in cells for part in cell.places))
    nodes = [tree.size if part.name == CONFIDENCE else 0 for part in parts]
    aligned = [
        align(part, rows, pairs.partner, count) for part, count in zip(parts, nodes, strict=True)
    ]
    here, there = (torch.cat([pair[side] for pair in aligned], dim=1) for side in (0, 1))
    with donor.within():
        prompts = [donor.prompts[p] for p in pairs.partner[rows]]
        states = record(donor.lm, prompts, there.tolist(), sites_of(cells), tree=tree)
    ends = np.cumsum([pair[0].shape[1] for pair in aligned]).tolist()
    columns = {
        part: range(start, end)
        for part, start, end in zip(parts, [0, *ends[:-1]], ends, strict=True)
    }
    placed = [
        Cell(cell.sites, tuple(at for part in cell.places for at in columns[part]))
        for cell in cells
    ]
    out = pairs.reading.values(base.of_rows(rows), cell_branches(placed, here, states))
    return out.base.double().cpu().numpy(), out.patched.double().cpu().numpy()


def align(part: Segment, rows: Rows, partner: Rows, nodes: int = 0) -> tuple[Tensor, Tensor]:
    """Return the token positions of ``part`` in each row and in its partner, [rows, n] each,
    aligned at their ends.

    Rows in which the shorter of the two has fewer tokens than in others repeat their last pair.
    That changes nothing: a state is written twice. ``nodes`` positions of the tree follow the part.
    """
    other = partner[rows]
    starts, ends = np.asarray(part.starts), np.asarray(part.ends)
    before = np.minimum((ends - starts)[rows], (ends - starts)[other])[:, None]
    back = np.arange(before.max(), -1, -1)[None]
    offsets = np.concatenate(
        [-np.where(back > before, 0, back), np.tile(1 + np.arange(nodes), (len(rows), 1))], axis=1
    )
    return torch.from_numpy(ends[rows][:, None] + offsets), torch.from_numpy(
        ends[other][:, None] + offsets
    )


def pair_half_ranks_apart(readout: Floats) -> Rows:
    """Return, for each item, the item half of all ranks away in ``readout`` [items]. So as many
    partners are above as below.

    Raises:
        WorkbenchError: for an odd number of items, and fewer than two.
    """
    items = len(readout)
    if items < 2 or items % 2:
        raise WorkbenchError(
            f"Pairs of questions need an even number of at least two; there are {items}."
        )
    order = np.argsort(readout, kind="stable")
    partner = np.empty(items, dtype=np.int64)
    partner[order] = np.roll(order, items // 2)
    return partner


def orient_to_donor(effects: EffectMap) -> EffectMap:
    """Return the same map with the sign of every item flipped whose donor is below its base, so
    that all donors are above.
    """
    sign = np.where(effects.donor < effects.base, -1.0, 1.0)
    turned = effects.patched * sign.reshape(-1, *[1] * len(effects.axes))
    return EffectMap(effects.axes, effects.base * sign, effects.donor * sign, turned)
