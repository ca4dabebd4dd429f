"""Compute gradient times difference at every place of a pass, from one forward and one backward.

The weights stay frozen; differentiation starts at the input of the lowest layer asked for. While
the forward runs, the base's states are subtracted from the donor's. While the backward runs, each
place's gradient is multiplied with its difference at once. So [rows, columns, width] gradients live
no longer than the backward itself needs them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.components import scale_of
from workbench.patch.components import ComponentSet, products, seen
from workbench.patch.inputs import Batch
from workbench.patch.metrics import Metric
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked


def gradient_times_difference(
    lm: LanguageModel,
    batch: Batch,
    cut: ComponentSet,
    metric: Metric,
    donors: dict[SiteKey, Tensor],
) -> tuple[Tensor, dict[SiteKey, Tensor]]:
    """Return the metric [rows] and, for each place of ``cut``, [rows, n] ([rows, heads, n] for
    heads).

    ``donors`` holds the states of every place. It is emptied on the way, so that states and
    differences are never in memory together.
    """
    start = place(cut.layers[0], "resid_pre")
    leaves: list[Tensor] = []
    found: dict[SiteKey, Tensor] = {}

    def follow(at: SiteKey) -> Transform:
        scale = scale_of(lm, at[1])

        def transform(hidden: Tensor) -> Tensor:
            if at == start:
                leaves.append(hidden.detach().requires_grad_())
                # A view, because only a tensor inside the graph has its hooks called whatever the
                # backward is asked for.
                hidden = leaves[0].view_as(leaves[0])
            if at in donors:
                base = seen(lm, at, hidden, batch.columns)
                difference = donors.pop(at).to(base.device) - base

                def multiply(gradient: Tensor) -> None:
                    found[at] = products(
                        lm, at, gather_columns(gradient, batch.columns) / scale, difference
                    )

                hidden.register_hook(multiply)
            return hidden

        return transform

    with hooked(lm, {at: follow(at) for at in {start, *donors}}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=True)
    with torch.enable_grad():
        value = metric.of(lm, gather_columns(final, batch.ends))
        torch.autograd.grad(value.sum(), leaves)
    return value.detach().cpu(), found
