"""Where a state is read or written: a layer, a component of it, and for heads which one.

The residual stream runs ``resid_pre`` -> + ``attn_out`` -> ``resid_mid`` -> + ``mlp_out`` ->
``resid_post`` of each layer, and ``resid_post`` of one layer is ``resid_pre`` of the next.
``attn_out`` and ``mlp_out`` are what is *added* to the stream: behind a family's own norm or
multiplier on that path where it has one. ``head_out`` is one head's weighted sum of values, the
slice of the output projection's input that belongs to a query head (also under grouped-query
attention). Families whose attention and MLP read the same stream in parallel have no ``resid_mid``.

Sites have no token position: positions differ from row to row and travel beside the sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from workbench.errors import WorkbenchError

Component = Literal["resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "head_out"]
COMPONENTS: tuple[Component, ...] = get_args(Component)


@dataclass(frozen=True, order=True)
class Site:
    """One place in every forward pass. ``head`` counts query heads and is given for ``head_out``
    alone.
    """

    layer: int
    component: Component = "resid_post"
    head: int | None = None

    def __post_init__(self) -> None:
        if self.component not in COMPONENTS:
            raise WorkbenchError(
                f"Unknown component {self.component!r}; use one of {', '.join(COMPONENTS)}."
            )
        if (self.head is None) == (self.component == "head_out"):
            raise WorkbenchError(
                "A site names a head exactly when its component is 'head_out', as Site(3, "
                "'head_out', 5)."
            )
        if self.layer < 0 or (self.head is not None and self.head < 0):
            raise WorkbenchError("Layers and heads count from 0.")
