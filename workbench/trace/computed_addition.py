"""Declare an addition that a pass computes itself, from a state of that very pass.

A patch of mode "computed" adds to the state at its site a vector that depends on what the pass has
computed there, or at an earlier component of the same layer, at the same token:

    state + addition.added(source, value, factor)

A feature of a sparse autoencoder is patched so: its old activation is read from the state, and the
difference to the new one is added along its decoder row (:mod:`workbench.features`). What the
addition leaves out of account, the autoencoder's error, stays as it was. An addition of zeros
leaves the state as it was to the bit. Patches that stand before it in the branch are seen by the
source.

What is read is the tensor in the units of its component, at the precision of the pass.
"""

from __future__ import annotations

from typing import Protocol

from torch import Tensor

from workbench.trace.sites import Component


class ComputedAddition(Protocol):
    """What is added to a state, computed from ``source``: a component of the site's layer that the
    forward reaches before the site, or the site itself (None).
    """

    @property
    def source(self) -> Component | None:
        """The component of the same layer whose state is read; None for the site's own."""
        ...

    @property
    def size(self) -> int:
        """How many numbers a row's value has."""
        ...

    @property
    def source_width(self) -> int:
        """How many numbers a state has that is read."""
        ...

    @property
    def width(self) -> int:
        """How many numbers a state has that is added to."""
        ...

    def added(self, states: Tensor, value: Tensor, factor: float) -> Tensor:
        """Return the addition [..., width] from source ``states`` [..., source_width] and ``value``
        [..., size], float32 or wider.
        """
        ...
