"""Compute what the difference of a state does to a metric directly, through the final norm alone.

The gradient of the metric is taken at the states after the final norm, where the ends of prompts
and nodes are read, and pulled back through the norm with its scale frozen
(:mod:`workbench.patch.frozen_norm`). Its product with donor minus base is what writing the donor's
state would add to the metric if no later part read it: the direct piece of
:mod:`workbench.patch.gradients`, whose product goes through all parts above as well. It needs no
backward through the layers, and speaks of any metric, of numbers in several tokens too.

What the number does not show: anything that later attention and MLPs do with the state, a change of
the norm's scale, and where the metric bends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.models import LanguageModel, model_arithmetic
from workbench.models.invocation import invoke_adapter_from
from workbench.patch.components import ComponentSet, products, states_at
from workbench.patch.direct_logit_attribution import pull_through_heads
from workbench.patch.frozen_norm import frozen
from workbench.patch.inputs import Batch
from workbench.patch.metrics import Metric
from workbench.trace.edits import SiteKey

DIRECT = ("attn_out", "mlp_out", "head_out")
"""The components that are added to the stream, of which this can be computed."""


def direct_times_difference(
    lm: LanguageModel,
    batch: Batch,
    cut: ComponentSet,
    metric: Metric,
    donors: dict[SiteKey, Tensor],
    adapter_start: int = 1,
) -> tuple[Tensor, dict[SiteKey, Tensor]]:
    """Return the metric [rows] and, for each place of ``cut``, [rows, n] ([rows, heads, n] for
    heads).

    Args:
        batch: its columns are its ends.
        cut: of components in DIRECT.
        donors: the states [rows, n, width] of every place.
        adapter_start: from which token of a pass of the ends alone a switched-on adapter acts
            (:func:`workbench.patch.direct_logit_attribution.adapter_start`).
    """
    stream_at: SiteKey = (lm.n_layers - 1, "resid_post")
    final, states = states_at(lm, batch, [*cut.places(), stream_at])
    leaf = final.detach().requires_grad_()
    with torch.enable_grad():
        value = metric.of(lm, leaf)
        (gradient,) = torch.autograd.grad(value.sum(), [leaf])
    shape = gradient.shape[:2]
    tolerance = 50 * float(torch.finfo(lm.dtype).eps)
    found: dict[SiteKey, Tensor] = {}
    with invoke_adapter_from(lm, adapter_start), model_arithmetic(lm):
        norm = frozen(lm.final_norm(), states[stream_at].flatten(0, 1), tolerance)
        back = norm.back(gradient.flatten(0, 1).double().cpu())
        for at in cut.places():
            own = states[at]
            direction = back
            if at[1] == "head_out":
                direction, _ = pull_through_heads(lm, at[0], own.flatten(0, 1), back, tolerance)
            difference = donors[at].to(own.device) - own
            found[at] = products(lm, at, direction.unflatten(0, shape), difference.cpu())
    return value.detach().cpu(), found
