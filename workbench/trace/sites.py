"""Define sites, the places where a state is read or written: a layer, a component of it, and for
slices which one.

The residual stream runs ``resid_pre`` -> + ``attn_out`` -> ``resid_mid`` -> + ``mlp_out`` ->
``resid_post`` of each layer, and ``resid_post`` of one layer is ``resid_pre`` of the next.
``attn_out`` and ``mlp_out`` are what is *added* to the stream: after a family's own norm or
multiplier on that path where it has one. ``head_out`` is one head's weighted sum of values, the
slice of the output projection's input that belongs to a query head (also under grouped-query
attention). ``query``, ``key`` and ``value`` are one head's slice of what the projections give,
before norms on them and rotation; keys and values count key-value heads. ``mlp_in`` is what the MLP
is given, after the norm before it where there is one; writing it changes the MLP alone, not the
stream. ``neuron`` is one entry of the MLP's hidden layer, after its nonlinearity and gate. Families
whose attention and MLP read the same stream in parallel have no ``resid_mid``.

Sites have no token position: positions differ from row to row and are passed separately.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from workbench.errors import WorkbenchError
from workbench.models.slices import SLICED

Component = Literal[
    "resid_pre",
    "resid_mid",
    "resid_post",
    "attn_out",
    "mlp_in",
    "mlp_out",
    "head_out",
    "query",
    "key",
    "value",
    "neuron",
]
COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True, order=True)
class Site:
    """A place in every forward pass: a component of a layer.

    Attributes:
        index: which slice of a sliced component: the number of a head or neuron. None for the
            others.
        span: how many neighbouring slices are one state, for windows of neurons.
    """

    layer: int
    component: Component = "resid_post"
    index: int | None = None
    span: int = 1

    def __post_init__(self) -> None:
        if self.component not in COMPONENTS:
            raise WorkbenchError(
                f"Unknown component {self.component!r}; use one of {', '.join(COMPONENTS)}."
            )
        if (self.index is None) == (self.component in SLICED):
            raise WorkbenchError(
                f"A site names a head or neuron exactly when its component is one of "
                f"{', '.join(SLICED)}, as Site(3, 'head_out', 5); got {self.component!r} with "
                f"{self.index}."
            )
        if self.layer < 0 or (self.index is not None and self.index < 0):
            raise WorkbenchError("Layers, heads and neurons count from 0.")
        if self.span < 1 or (self.span > 1 and self.component != "neuron"):
            raise WorkbenchError("A site spans several slices for neurons alone, and at least one.")
