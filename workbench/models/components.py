"""Find where a layer's components can be read and written: a module and a side of it, from the
model's architecture row.

``resid_pre`` is the layer's input and ``resid_post`` its output; ``attn_out`` and ``mlp_out`` are
outputs of the modules the row calls added; ``resid_mid`` and the heads are inputs, of the row's
``mid`` module and of the attention's output projection. Queries, keys and values are outputs of
their projections, ``mlp_in`` the input of the row's ``mlp`` module, neurons that of the MLP's
output projection; :mod:`workbench.models.slices` says which entries of the tensor belong to which
head or neuron. The tensor seen at a hook point times ``scale`` is the component as it enters the
residual stream.

A module's input can only serve as ``resid_mid`` if the layer adds to that very tensor afterwards,
so a write there must be in place. :func:`workbench.models.validate` checks both on a real forward.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import nn

from workbench.errors import WorkbenchError
from workbench.models.language_model import LanguageModel
from workbench.models.layer_output import Streams
from workbench.models.slices import PROJECTIONS

RESIDUAL = ("resid_pre", "resid_post")


@dataclass(frozen=True, eq=False)
class HookPoint:
    """One side of a module, the factor of its tensor on the way into the residual stream, and the
    way in which it holds several streams.
    """

    module: nn.Module
    side: Literal["input", "output"]
    scale: float = 1.0
    streams: Streams = "one"


def missing_component_reason(lm: LanguageModel, component: str) -> str:
    """Return why the model has no such component, or an empty string."""
    row = lm.architecture
    if component in row.missing:
        return row.missing[component]
    if component == "resid_mid" and row.parallel:
        return "its attention and MLP read the same residual stream in parallel"
    if component == "resid_mid" and not row.mid:
        return "no module of every layer is given the stream between attention and MLP"
    if component == "attn_out" and not row.attention_added:
        return "what its attention adds is not the output of one module in every layer"
    if component == "mlp_out" and not row.mlp_added:
        return "what its MLP adds is not the output of one module in every layer"
    if component == "mlp_in" and not row.mlp:
        return "no one module of every layer is its MLP"
    if component == "head_out" and not row.attention_output:
        return "not every layer has attention heads that share one output projection"
    if component in PROJECTIONS and not row.query:
        return "not every layer has projections of queries, keys and values"
    if component == "neuron" and not row.neurons:
        return "its MLP has no single hidden layer (experts have one each, or layers differ)"
    return ""


def place_of(lm: LanguageModel, layer: int, component: str) -> HookPoint:
    """Return the hook point of ``component`` of ``layer``.

    Raises:
        WorkbenchError: if the family lacks the component.
    """
    why = missing_component_reason(lm, component)
    if why:
        raise WorkbenchError(
            f"{lm.architecture.family} has no {component}: {why}; choose another component."
        )
    row, module = lm.architecture, lm.layers()[layer]
    if component in RESIDUAL:
        side: Literal["input", "output"] = "input" if component == "resid_pre" else "output"
        return HookPoint(module, side, streams=row.streams)
    if component == "resid_mid":
        return HookPoint(module.get_submodule(row.mid), "input")
    if component == "mlp_in":
        return HookPoint(module.get_submodule(row.mlp), "input")
    if component == "head_out":
        return HookPoint(module.get_submodule(row.attention_output), "input")
    if component == "neuron":
        return HookPoint(module.get_submodule(row.neurons), "input")
    if component in PROJECTIONS:
        return HookPoint(module.get_submodule(getattr(row, component)), "output")
    added = row.attention_added if component == "attn_out" else row.mlp_added
    return HookPoint(module.get_submodule(added), "output", scale_of(lm, component))


def scale_of(lm: LanguageModel, component: str) -> float:
    """Return the factor between the tensor at the hook point of ``component`` and the component."""
    return lm.architecture.added_scale if component in ("attn_out", "mlp_out") else 1.0
