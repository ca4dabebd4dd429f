"""Patch every cell of a map, batch by batch, so that a stopped map resumes where it was.

A cell is patched at named parts of conversations (:mod:`workbench.patch.segments`). Each map has
two controls, both at a few of its sites. The noise floor patches the same parts with the run's own
states. The control patches one random other token with the donor's states. A map's table has one
line a cell, with intervals and p-values corrected for the number of cells
(:func:`workbench.patch.effect_map.effect_table`). Its column ``floor`` is the largest shift that
the arithmetic alone gives: a cell whose shift is not beyond it shows nothing. Its column
``control`` is the largest at the random token: an effect not beyond that is not specific to its
place.

Shifts: 0 = nothing moved, 1 = moved all the way to the donor; a ratio of means. Maps whose donors
are other questions in the same model are oriented first; maps of two states of the model are not,
so a change of the general level by training counts in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from workbench.arrays import Floats, Rows
from workbench.elicit.segments import Segment
from workbench.patch.branches import Cell, single_cells
from workbench.patch.effect_map import Axis, EffectMap, effect_table
from workbench.patch.effects import max_readout_change
from workbench.patch.inputs import DonorPairs, ModelInputs, Reading
from workbench.patch.segments import orient_to_donor, patch_cells
from workbench.pipeline.store import ROW, Part, StageStore, run_parts
from workbench.trace.sites import Site

NOISE_SITES = 3
PERMUTATIONS = 4000


@dataclass(frozen=True, eq=False)
class PatchingMap:
    """A map, oriented if its donors are other questions, with its noise floor and control.

    Attributes:
        own: [items, cells] readouts under the run's own states at a few of the map's sites,
            oriented like the map's.
        control_token: [items, sites] readouts under the donor's states at one random token of each
            item, oriented likewise.
    """

    effects: EffectMap
    own: Floats
    control_token: Floats

    def floor(self) -> float:
        """Return the largest absolute shift that patching states into themselves gives, relative to
        the map's distances.
        """
        return self._largest(self.own)

    def control(self) -> float:
        """Return the largest absolute shift at a random token."""
        return self._largest(self.control_token)

    def _largest(self, readouts: Floats) -> float:
        moved = (readouts - self.effects.base[:, None]).mean(axis=0)
        return float(np.abs(moved).max() / abs((self.effects.donor - self.effects.base).mean()))

    def item_floor(self) -> float:
        """Return the largest move of a single item's readout under its own states."""
        return max_readout_change(self.effects.base, self.own)

    def table(self, *, resamples: int, seed: int) -> pd.DataFrame:
        """Return :func:`workbench.patch.effect_map.effect_table` with the columns ``floor`` and
        ``control``.
        """
        table = effect_table(
            self.effects,
            resamples=resamples,
            permutations=PERMUTATIONS,
            seed=seed,
            noise=self.item_floor(),
        )
        return table.assign(floor=self.floor(), control=self.control())


def readouts(
    stage: StageStore, inputs: ModelInputs, reading: Reading, batches: Sequence[Rows], name: str
) -> Floats:
    """Return the expected confidence [items] as the model states it."""

    def compute(rows: Rows) -> Part:
        readout = reading.unpatched(inputs.of_rows(rows)).double().numpy()
        return Part(pd.DataFrame({ROW: rows}), {"readout": readout})

    return np.asarray(run_parts(stage, batches, compute, name).tensors["readout"])


def patching_map(
    stage: StageStore,
    pairing: DonorPairs,
    sites: Sequence[Site],
    parts: Sequence[Segment],
    axes: tuple[Axis, ...],
    name: str,
    control_token: Segment,
) -> PatchingMap:
    """Make the map of every site at every part; ``axes`` unfold the sites, in their order, and then
    the parts.

    ``control_token``: one random token of each item, for the control (:func:`random_token`).
    """
    cells = single_cells(sites, parts)
    few = [
        sites[k] for k in np.unique(np.linspace(0, len(sites) - 1, NOISE_SITES).round().astype(int))
    ]
    base, patched = patched_readouts(stage, pairing, cells, name)
    own_base, own = patched_readouts(stage, pairing.own, single_cells(few, parts), f"{name} noise")
    there_base, there = patched_readouts(
        stage, pairing, single_cells(few, [control_token]), f"{name} control"
    )
    own, there = own - own_base[:, None], there - there_base[:, None]
    donor = pairing.readout[pairing.partner]
    shape = (len(base), *(len(axis.labels) for axis in axes))
    effects = EffectMap(axes, base, donor, patched.reshape(shape))
    if not pairing.across:
        return PatchingMap(effects, base[:, None] + own, base[:, None] + there)
    turned = orient_to_donor(effects)
    sign = np.where(donor < base, -1.0, 1.0)[:, None]
    return PatchingMap(
        turned, turned.base[:, None] + sign * own, turned.base[:, None] + sign * there
    )


def patched_readouts(
    stage: StageStore, pairing: DonorPairs, cells: Sequence[Cell[Segment]], name: str
) -> tuple[Floats, Floats]:
    """Return the readouts of all items: unpatched [items] and of every cell [items, cells]."""

    def compute(rows: Rows) -> Part:
        base, patched = patch_cells(pairing, cells, rows)
        return Part(pd.DataFrame({ROW: rows, "base": base}), {"patched": patched})

    part = run_parts(stage, pairing.batches, compute, name)
    return part.table["base"].to_numpy(), part.tensors["patched"]


def moves(base: Floats, donor: Floats, patched: Floats) -> tuple[Floats, Floats]:
    """Return distances [items] to the donor and moves [items, cells] towards it."""
    sign = np.where(donor < base, -1.0, 1.0)
    return np.abs(donor - base), (patched - base[:, None]) * sign[:, None]


def spaced_layers(n_layers: int, count: int) -> list[int]:
    """Return ``count`` layers spread evenly from the first to the last."""
    return [int(k) for k in np.unique(np.linspace(0, n_layers - 1, min(count, n_layers)).round())]


def layer_bands(n_layers: int) -> dict[str, range]:
    """Return the layers' early, middle and late thirds, and all of them."""
    first, second = round(n_layers / 3), round(2 * n_layers / 3)
    thirds = {
        "early": range(first),
        "middle": range(first, second),
        "late": range(second, n_layers),
    }
    return {**thirds, "all": range(n_layers)}


def random_token(part_of: Sequence[Segment], name: str, seed: int) -> Segment:
    """Draw one random token of each row from neighbouring segments, as a separate segment; rows
    draw independently.
    """
    rng = np.random.default_rng(seed)
    starts: NDArray[np.int64] = np.min([part.starts for part in part_of], axis=0)
    ends: NDArray[np.int64] = np.max([part.ends for part in part_of], axis=0)
    at = tuple(int(k) for k in rng.integers(starts, ends + 1))
    return Segment(name, at, at)
