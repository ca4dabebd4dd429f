"""Compute the mean gradient of a metric with respect to the residual stream, at every layer and
position asked for, from one forward and one backward.

A step along the gradient raises the metric fastest to first order: it is the direction in which the
layers above read the metric, averaged over prompts. The sign is the metric's. What it does not
show: how far the tangent holds, and how prompts differ from their mean.

Memory: the activations of one forward from the lowest layer on, kept for the backward, for
``tokens_per_forward`` tokens, and the gradients of all prompts, [prompts, layers, positions, width]
float32 on the CPU: a few dozen prompts are meant.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.components import scale_of
from workbench.patch.inputs import Batch, ModelInputs, batch_of, require_run
from workbench.patch.metrics import Metric
from workbench.trace.batches import map_batches
from workbench.trace.edits import gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked


def mean_gradients(
    run: ModelInputs, layers: Sequence[int], metric: Metric, *, tokens_per_forward: int
) -> Tensor:
    """Return the gradient of ``metric`` with respect to the state after each of ``layers`` at the
    run's positions, the mean over its prompts: [layers, positions, width] float32 on the CPU.

    Raises:
        WorkbenchError: before any forward, for no or unknown layers, and positions outside the
            prompts and the metric's tree.
    """
    if not layers or not {*layers} <= {*range(run.lm.n_layers)}:
        raise WorkbenchError(
            f"Gradients need layers from 0 to {run.lm.n_layers - 1}, got {list(layers)}."
        )
    require_run(run, metric.tree.size)

    def compute(rows: NDArray[np.int64]) -> Tensor:
        batch = batch_of(run, torch.as_tensor(rows), metric.tree)
        with run.within():
            return _gradients(run, batch, layers, metric)

    return map_batches(run.lengths.tolist(), tokens_per_forward, compute, metric.tree.size).mean(
        dim=0
    )


def _gradients(run: ModelInputs, batch: Batch, layers: Sequence[int], metric: Metric) -> Tensor:
    """Return the gradients of a batch, [rows, layers, positions, width]."""
    lm, lowest = run.lm, min(layers)
    leaves: list[Tensor] = []
    found: dict[int, Tensor] = {}

    def follow(layer: int) -> Transform:
        scale = scale_of(lm, "resid_post")

        def transform(hidden: Tensor) -> Tensor:
            if layer == lowest:
                leaves.append(hidden.detach().requires_grad_())
                # A view, because only a tensor inside the graph has its hooks called whatever the
                # backward is asked for.
                hidden = leaves[0].view_as(leaves[0])

            def keep(gradient: Tensor) -> None:
                found[layer] = gather_columns(gradient, batch.columns).float().cpu() / scale

            hidden.register_hook(keep)
            return hidden

        return transform

    with hooked(lm, {place(layer, "resid_post"): follow(layer) for layer in layers}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None, gradients=True)
    with torch.enable_grad():
        value = metric.of(lm, gather_columns(final, batch.ends))
        torch.autograd.grad(value.sum(), leaves)
    return torch.stack([found[layer] for layer in layers], dim=1)
