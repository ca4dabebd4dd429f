"""Hold a subspace of states, and change states within it alone.

A subspace is spanned by the columns of a basis [width, r], such as a probe's direction. Any basis
will do: it is made orthonormal in its order (Gram-Schmidt), so that the first column keeps its
direction and sign, and a single column only its length is lost. With that basis B every change is
one formula. A state x becomes

    x + B B^T (value + (factor - 1) x)

so its coordinates B^T x become those of ``value`` plus ``factor`` times their own: swapped for
another state's or set (factor 0), taken out (factor 0, value 0), scaled (value 0), moved (factor
1). What is orthogonal to the basis stays as it was. Products are made in float32 for narrower
states, whatever the arithmetic of the pass, and the result is rounded once.

That the coordinates in a subspace move a readout does not show that the model holds what the basis
was fitted to: any direction that the states vary along moves something. A random basis of the same
rank, and a change of the same length elsewhere, show what that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workbench.errors import WorkbenchError

DEPENDENT = 1e-5
"""Smallest singular value, of columns scaled to length 1, from which they count as independent."""


@dataclass(frozen=True, eq=False)
class Subspace:
    """The span of the columns of ``basis`` [width, r], or of one direction [width].

    What is kept is the orthonormal basis of that span, float32.

    Raises:
        WorkbenchError: for a basis of another shape, with more columns than numbers in a state,
            with entries that are not finite, and with columns that depend on each other or are
            zero.
    """

    basis: Tensor

    def __post_init__(self) -> None:
        given = torch.as_tensor(self.basis).detach().double().cpu()
        columns = given[:, None] if given.dim() == 1 else given
        if columns.dim() != 2 or 0 in columns.shape:
            raise WorkbenchError(
                f"A subspace needs a basis [width, r] of one column or more, got {[*given.shape]}."
            )
        width, count = columns.shape
        if count > width:
            raise WorkbenchError(
                f"The basis has {count} columns of {width} numbers, and no more than {width} can "
                "be independent; give it as [width, r]."
            )
        if not bool(torch.isfinite(columns).all()):
            raise WorkbenchError("The basis of the subspace has NaN or infinite entries.")
        norms = columns.norm(dim=0)
        if not bool((norms > 0).all()):
            raise WorkbenchError(
                f"Column {int(norms.argmin())} of the basis is zero and spans nothing; leave it "
                "out."
            )
        unit = columns / norms
        rank = int((torch.linalg.svdvals(unit) > DEPENDENT).sum())
        if rank < count:
            raise WorkbenchError(
                f"The basis has {count} columns but rank {rank}; leave out columns that are sums "
                "of multiples of others."
            )
        axes, triangle = torch.linalg.qr(unit)
        object.__setattr__(self, "basis", (axes * triangle.diagonal().sign()).float())

    @property
    def width(self) -> int:
        """How many numbers a state has."""
        return self.basis.shape[0]

    @property
    def rank(self) -> int:
        """How many dimensions the subspace has."""
        return self.basis.shape[1]

    def coordinates(self, states: Tensor) -> Tensor:
        """Return the coordinates [..., r] of ``states`` [..., width] in the orthonormal basis."""
        return states.float() @ self.basis.to(states.device)

    def states(self, coordinates: Tensor) -> Tensor:
        """Return the states [..., width] of the subspace that have ``coordinates`` [..., r]."""
        return coordinates.float() @ self.basis.to(coordinates.device).T

    def project(self, states: Tensor) -> Tensor:
        """Return the projection of ``states`` [..., width] onto the subspace."""
        return self.states(self.coordinates(states)).to(states.dtype)

    def change(self, states: Tensor, value: Tensor, factor: float) -> Tensor:
        """Return ``states`` [..., width] with the coordinates of ``value`` [..., width] plus
        ``factor`` times their own.
        """
        # Passes may be made under autocast, which would round the basis to bfloat16.
        with torch.autocast(states.device.type, enabled=False):
            wide = states.float() if states.element_size() < 4 else states
            basis = self.basis.to(wide)
            change = value.to(wide) + (factor - 1.0) * wide
            return (wide + (change @ basis) @ basis.T).to(states.dtype)


def subspaces_by_layer(given: Any, layers: Sequence[int]) -> dict[int, Subspace]:
    """Return the subspace of each of ``layers``.

    Args:
        given: a mapping from layers to subspaces or bases, or one basis for each of ``layers`` in
            their order: [layers, width, r], or directions [layers, width].

    Raises:
        WorkbenchError: for a layer without a subspace, another number of them than of layers, and
            bases that span none.
    """
    if isinstance(given, Mapping):
        missing = [layer for layer in layers if layer not in given]
        if missing:
            raise WorkbenchError(
                f"There is no subspace for layer {missing[0]}; give one for each layer that is "
                "swept, or sweep fewer layers."
            )
        bases = [given[layer] for layer in layers]
    else:
        stacked = torch.as_tensor(given)
        if stacked.dim() not in (2, 3) or len(stacked) != len(layers):
            raise WorkbenchError(
                f"Subspaces by layer are [layers, width, r] or [layers, width] with {len(layers)} "
                f"layers, or a mapping from layers; got {[*stacked.shape]}."
            )
        bases = list(stacked)
    return {
        layer: basis if isinstance(basis, Subspace) else Subspace(torch.as_tensor(basis))
        for layer, basis in zip(layers, bases, strict=True)
    }
