"""Run attribution patching: estimate every cell of a map from two forwards and one backward, and
patch some cells truly to say how far to trust it.

The score of a cell is (donor state - base state) . gradient of the metric at the base's state: the
first-order estimate of what patching the donor's state there would add to the metric. Positive: the
patch raises the metric. One backward gives every layer, position, component and head.

What the number does not show: anything the tangent cannot see. Where the effect bends - saturated
softmax, norms whose scale the patch changes, early layers, large differences - scores have the
wrong size or sign. So a result always carries a
:class:`~workbench.patch.verification.Verification`; read the map only as far as its slope and rank
correlation allow. ``steps`` asks for integrated gradients instead
(:mod:`workbench.patch.integrated`), many times the cost.

Memory: activations of one forward, kept for the backward, for ``tokens_per_forward`` tokens; in
addition the states of the places looked at, rows x positions x width each. Sources: Nanda 2023
(attribution patching); Syed et al. 2023, arXiv 2310.10348.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.slices import SLICED
from workbench.patch.components import ComponentSet, require_cut, states_at
from workbench.patch.gradients import gradient_times_difference
from workbench.patch.inputs import ModelInputs, batch_of, require_pair
from workbench.patch.integrated import integrated_gradients
from workbench.patch.metrics import Metric
from workbench.patch.verification import Check, Verification, verify
from workbench.trace.batches import map_batches
from workbench.trace.edits import SiteKey, place
from workbench.trace.sites import Component


@dataclass(frozen=True, eq=False)
class Scores:
    """The unverified scores of a set of components.

    Attributes:
        base: [rows] metric of the base run.
        donor: [rows] metric of the donor run.
        of: for each component [rows, layers, positions]; for heads and other slices [rows, layers,
            slices, positions], neurons by window. On the CPU.
    """

    cut: ComponentSet
    base: Tensor
    donor: Tensor
    of: dict[Component, Tensor]


@dataclass(frozen=True, eq=False)
class Attribution:
    """Scores, and what true patches of some cells say about them."""

    scores: Scores
    verification: Verification

    def table(self) -> pd.DataFrame:
        """Return one line per cell: component, layer, head or (first) neuron (-1: none), position
        (its place in the run's positions), ``score``, the mean over rows, and ``size``, the mean of
        absolute values.
        """
        cut = self.scores.cut
        parts = []
        for component, scores in self.scores.of.items():
            sliced = component in SLICED
            heads = scores if sliced else scores[:, :, None]
            mean = heads.mean(dim=0)
            layer, head, position = np.indices(mean.shape).reshape(3, -1)
            step = cut.neuron_window if component == "neuron" else 1
            parts.append(
                pd.DataFrame(
                    {
                        "component": component,
                        "layer": np.asarray(cut.layers)[layer],
                        "head": head * step if sliced else -1,
                        "position": position,
                        "score": mean.double().numpy().ravel(),
                        "size": heads.abs().mean(dim=0).double().numpy().ravel(),
                    }
                )
            )
        return pd.concat(parts, ignore_index=True)


def attribute(
    base: ModelInputs,
    donor: ModelInputs,
    cut: ComponentSet,
    metric: Metric,
    *,
    tokens_per_forward: int,
    check: Check,
    steps: int = 0,
) -> Attribution:
    """Compute the scores of every cell of ``cut`` at the runs' positions, and verify them by true
    patches.

    Args:
        base: the run that would be patched.
        donor: the run the states come from; positions are paired by place.
        tokens_per_forward: most tokens of a pass; the pass with gradients keeps the activations of
            that many.
        check: how many cells are patched truly.
        steps: 0 for one gradient at the base; otherwise integrated gradients with so many points.

    Raises:
        WorkbenchError: before any forward, for runs, cuts or positions that do not fit.
    """
    require_pair(base, donor, metric.tree.size)
    scores = unverified_scores(
        base, donor, cut, metric, tokens_per_forward=tokens_per_forward, steps=steps
    )
    return Attribution(
        scores,
        verify(base, donor, cut, metric, scores.of, check, tokens_per_forward=tokens_per_forward),
    )


def unverified_scores(
    base: ModelInputs,
    donor: ModelInputs,
    cut: ComponentSet,
    metric: Metric,
    *,
    tokens_per_forward: int,
    steps: int = 0,
) -> Scores:
    """Compute the scores of :func:`attribute` alone, unverified, for callers who patch the cells
    themselves.

    Raises:
        WorkbenchError: as there, and for a position named twice in a row with integrated gradients.
    """
    nodes = metric.tree.size
    require_pair(base, donor, nodes)
    require_cut(base.lm, cut)
    if steps and any(len({*row}) < len(row) for row in base.positions.tolist()):
        raise WorkbenchError(
            "Integrated gradients move every position once; name each position of a row once."
        )
    lengths = torch.maximum(base.lengths, donor.lengths).tolist()
    places = cut.places()

    def compute(rows: NDArray[np.int64]) -> tuple[Tensor, ...]:
        of_base, of_donor, scores = _batch(base, donor, torch.as_tensor(rows), cut, metric, steps)
        return of_base, of_donor, *(scores[at] for at in places)

    of_base, of_donor, *scores = map_batches(
        lengths, tokens_per_forward, compute, nodes, description="attributing"
    )
    found = dict(zip(places, scores, strict=True))
    of = {
        name: torch.stack([found[place(n, name)] for n in cut.layers], dim=1)
        for name in cut.components
    }
    if cut.neuron_window > 1:
        of["neuron"] = cut.windows(of["neuron"])
    return Scores(cut, of_base, of_donor, of)


def _batch(
    base: ModelInputs,
    donor: ModelInputs,
    rows: Tensor,
    cut: ComponentSet,
    metric: Metric,
    steps: int,
) -> tuple[Tensor, Tensor, dict[SiteKey, Tensor]]:
    """Return the metric of base and donor [rows], and the scores of each place."""
    with donor.within(), torch.no_grad():
        final, donors = states_at(donor.lm, batch_of(donor, rows, metric.tree), cut.places())
        donor_value = metric.of(donor.lm, final).cpu()
    batch = batch_of(base, rows, metric.tree)
    with base.within():
        if steps:
            value, found = integrated_gradients(base.lm, batch, cut, metric, donors, steps)
        else:
            value, found = gradient_times_difference(base.lm, batch, cut, metric, donors)
    return value, donor_value, found
