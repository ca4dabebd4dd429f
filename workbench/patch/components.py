"""Choose which components of which layers a map covers, and record their states as a pass computes
them.

States are kept for each *place* of the pass (the stream after a layer is also the next one's
``resid_pre``) at the columns asked for alone: [rows, n, width], all slices of a component together
(of heads [rows, n, heads * head size]), in the units of the component.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.components import missing_component_reason, scale_of
from workbench.models.slices import slices_of
from workbench.patch.inputs import Batch
from workbench.trace.checks import require_layer
from workbench.trace.edits import SiteKey, gather_columns, place
from workbench.trace.forward import run_joint
from workbench.trace.hooks import Transform, hooked
from workbench.trace.sites import COMPONENTS, Component, Site

STREAM_AND_HEADS: tuple[Component, ...] = (
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_out",
    "head_out",
)


@dataclass(frozen=True)
class ComponentSet:
    """Every one of ``components`` in every one of ``layers``, ascending. A sliced component means
    all its slices; neurons are taken in windows of ``neuron_window`` neighbours, end to end, the
    last of which may be smaller.

    Raises:
        WorkbenchError: for no components or layers, layers out of order, components that are
            unknown or named twice, and windows below 1 or of components without neurons.
    """

    layers: tuple[int, ...]
    components: tuple[Component, ...]
    neuron_window: int = 1

    def __post_init__(self) -> None:
        if not self.layers or not self.components or list(self.layers) != sorted({*self.layers}):
            raise WorkbenchError(
                "Name at least one component, and layers in ascending order, each once."
            )
        unknown = [name for name in self.components if name not in COMPONENTS]
        if unknown or len({*self.components}) != len(self.components):
            raise WorkbenchError(
                f"Name each component once, of {', '.join(COMPONENTS)}; not {', '.join(unknown)}."
            )

        if self.neuron_window < 1 or (self.neuron_window > 1 and "neuron" not in self.components):
            raise WorkbenchError(
                f"A window of neurons holds at least 1, and needs neurons among the components; "
                f"got {self.neuron_window} and {', '.join(self.components)}."
            )

    def windows(self, scores: Tensor) -> Tensor:
        """Return neurons' scores [rows, layers, neurons, positions] summed over each window."""
        parts = scores.split(self.neuron_window, dim=2)
        return torch.stack([part.sum(dim=2) for part in parts], dim=2)

    def slice_site(self, lm: LanguageModel, layer: int, component: Component, at: int) -> Site:
        """Return the site of a component's slice ``at``, of neurons their window ``at``."""
        if component != "neuron":
            return Site(layer, component, at)
        first = at * self.neuron_window
        return Site(layer, component, first, min(self.neuron_window, lm.mlp_width - first))

    def places(self) -> list[SiteKey]:
        """Return the places of the pass, each once."""
        return sorted(
            {place(layer, component) for component in self.components for layer in self.layers}
        )


def whole_model(
    lm: LanguageModel, components: Sequence[Component] = STREAM_AND_HEADS
) -> ComponentSet:
    """Return all layers, with those of ``components`` the family has. If not given, the components
    are the stream, what is added to it, and the heads.
    """
    return ComponentSet(
        tuple(range(lm.n_layers)),
        tuple(name for name in components if not missing_component_reason(lm, name)),
    )


def require_cut(lm: LanguageModel, cut: ComponentSet) -> None:
    """Refuse layers and components the model does not have.

    Raises:
        WorkbenchError: for such a layer or component.
    """
    for layer in cut.layers:
        require_layer(lm, layer)
    for component in cut.components:
        why = missing_component_reason(lm, component)
        if why:
            raise WorkbenchError(
                f"{lm.architecture.family} has no {component}: {why}; leave it out."
            )


def states_at(
    lm: LanguageModel, batch: Batch, places: Sequence[SiteKey]
) -> tuple[Tensor, dict[SiteKey, Tensor]]:
    """Run one forward; return [rows, 1 + nodes, width] after the final norm at the ends, and the
    states at ``places``.
    """
    states: dict[SiteKey, Tensor] = {}

    def keep(at: SiteKey) -> Transform:
        def transform(hidden: Tensor) -> Tensor:
            states[at] = seen(lm, at, hidden, batch.columns)
            return hidden

        return transform

    with hooked(lm, {at: keep(at) for at in places}):
        final = run_joint(lm, batch.prompts, batch.tail, None, (), None)
    return gather_columns(final, batch.ends), states


def seen(lm: LanguageModel, at: SiteKey, hidden: Tensor, columns: Tensor) -> Tensor:
    """Copy the component at ``columns`` out of the tensor ``hidden`` found at its place."""
    states, scale = gather_columns(hidden.detach(), columns), scale_of(lm, at[1])
    return states if scale == 1.0 else states * scale


def products(lm: LanguageModel, at: SiteKey, gradient: Tensor, difference: Tensor) -> Tensor:
    """Return gradient times difference [rows, n, width], summed over a state: [rows, n], or [rows,
    slices, n] for heads and other slices. Float32 or wider.
    """
    wide = torch.promote_types(torch.promote_types(gradient.dtype, difference.dtype), torch.float32)
    both = gradient.to(wide) * difference.to(wide)
    slices = slices_of(lm, at[1])
    if slices is None:
        return both.sum(dim=-1).cpu()
    return slices.split(both).sum(dim=-1).transpose(1, 2).cpu()
