"""Compute integrated gradients place by place: exact where one gradient is only the tangent.

For one place (one component of one layer) all states move together along the straight line from
base to donor, and everything above is computed anew. The score of a position (or head) is its
difference times the gradient averaged over the line. Therefore the scores of one place sum to the
effect of patching *all* its positions (and heads) together - completeness, up to the quadrature,
which is Gauss-Legendre: where norms bend the line (first layers, norms after attention) a few dozen
steps may be needed, so compare the sum with that joint effect. They need not equal the effects of
patching positions one by one.

Cost: for each place and step the layers above it, forward and backward; layers below run once, one
after another. Source: Sundararajan et al. 2017 (arXiv 1703.01365); here the line is in activations,
not in the input.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.components import scale_of
from workbench.models.dispatch import keeps_weights_away
from workbench.models.slices import slices_of
from workbench.patch.components import ComponentSet, products, states_at
from workbench.patch.inputs import Batch
from workbench.patch.metrics import Metric
from workbench.trace.decoder import stop_with
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, bypass_layers, hooked


def integrated_gradients(
    lm: LanguageModel,
    batch: Batch,
    cut: ComponentSet,
    metric: Metric,
    donors: dict[SiteKey, Tensor],
    steps: int,
) -> tuple[Tensor, dict[SiteKey, Tensor]]:
    """Return what :func:`workbench.patch.gradients.gradient_times_difference` returns, with
    ``steps`` gradients along each place's line.
    """
    final, bases = states_at(lm, batch, list(donors))
    with torch.no_grad():
        value = metric.of(lm, final).cpu()
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    line = list(zip((nodes + 1) / 2, weights / 2, strict=True))
    found: dict[SiteKey, Tensor] = {}
    stream = Stream(lm, batch)
    for at in sorted(donors, key=_lowest):
        base, donor = bases.pop(at), donors[at]
        difference = donor.to(base.device) - base
        slices = slices_of(lm, at[1])
        if slices is not None:
            # Where queries, keys and values are one tensor, the line moves one of them alone.
            difference = slices.mask(difference)
        stream.climb(_lowest(at))
        # Sums over many steps would lose their last digits in bfloat16.
        gradient = torch.zeros_like(
            difference, dtype=torch.promote_types(difference.dtype, torch.float32)
        )
        for share, weight in line:
            gradient += weight * _gradient(stream, at, base + share * difference, metric)
        found[at] = products(lm, at, gradient, difference)
    donors.clear()
    return value, found


def _lowest(at: SiteKey) -> int:
    """Return the layer at whose input a pass for this place may start."""
    layer, component = at
    return layer + 1 if component == "resid_post" else layer


class Stream:
    """The base run's residual stream at the input of one layer, [rows, columns, width], computed
    layer by layer.
    """

    def __init__(self, lm: LanguageModel, batch: Batch) -> None:
        self.lm, self.batch, self.layer = lm, batch, 0
        self.states: Tensor | None = None

    def start(self) -> dict[SiteKey, Transform]:
        """Return the transform that puts the stream at its layer's input, so that the layers below
        need not run.
        """
        if self.states is None:
            return {}
        states = self.states
        return {place(self.layer, "resid_pre"): lambda hidden: states.to(hidden.device)}

    def climb(self, layer: int) -> None:
        """Compute the layers up to ``layer``, which is not below the present one."""
        if layer == self.layer:
            return
        kept: list[Tensor] = []

        def keep(hidden: Tensor) -> Tensor:
            kept.append(hidden.detach().clone())
            return hidden

        # Hooks that load weights for each use put them away again, so such a pass is not
        # stopped half-way.
        stop = keep if keeps_weights_away(self.lm.base()) else stop_with(keep)
        self._pass({place(layer, "resid_pre"): stop}, gradients=False)
        self.layer, self.states = layer, kept[0]

    def final(self, at: SiteKey, transform: Transform) -> Tensor:
        """Return the states [rows, 1 + nodes, width] after the final norm, with ``transform``
        applied at a place at or above the stream.
        """
        start = self.start()
        if at in start:
            begin = start.pop(at)
            return self._pass({at: lambda hidden: transform(begin(hidden))}, gradients=True)
        return self._pass({at: transform}, gradients=True)

    def _pass(self, transforms: dict[SiteKey, Transform], gradients: bool) -> Tensor:
        lm, batch = self.lm, self.batch
        with bypass_layers(lm, self.layer), hooked(lm, {**self.start(), **transforms}):
            final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=gradients)
        return gather_columns(final, batch.ends) if final.shape[-1] else final


def _gradient(stream: Stream, at: SiteKey, states: Tensor, metric: Metric) -> Tensor:
    """Return the gradient [rows, n, width] of the metric with ``states`` put at the place."""
    lm, columns = stream.lm, stream.batch.columns
    leaf = states.detach().requires_grad_()
    scale = scale_of(lm, at[1])

    def write(hidden: Tensor) -> Tensor:
        where = columns.to(hidden.device)
        rows = torch.arange(len(where), device=hidden.device)[:, None]
        value = (leaf.to(hidden.device) / scale).to(hidden.dtype)
        return hidden.detach().index_put((rows, where), value)

    final = stream.final(at, write)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(metric.of(lm, final).sum(), [leaf])
    return gradient
