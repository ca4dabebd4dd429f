"""Describe what is done to a forward pass: states replaced, added to or changed within a subspace
at sites and tokens, attention edges cut, and how the outcome is read.

A :class:`Patch` acts on one site at one token of each row, an
:class:`~workbench.trace.knockouts.AttentionKnockout` on what tokens read; a *branch* is a set of
them applied together (one cell of a map, a window of layers, several positions). Rows of a batch
share sites but have their own positions and values, so donors may differ from row to row. Values
are finished tensors: a recorded state, zeros, a mean, a direction, a noise draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.computed_addition import ComputedAddition
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.sites import Site
from workbench.trace.subspace import Subspace

Readout = Callable[[Tensor], Tensor]
"""Next-token logits [n, vocab] -> [n, ...], for example ``lambda logits: logits[:, ids]``."""

Mode = Literal["replace", "add", "within", "without", "computed"]
MODES: tuple[Mode, ...] = get_args(Mode)
OF_SUBSPACES: tuple[Mode, ...] = ("within", "without")
SCALING: tuple[Mode, ...] = ("within", "computed")


def _no_value() -> Tensor:
    return torch.empty(0)


@dataclass(frozen=True, eq=False)
class Patch:
    """A write at one site: ``value`` [rows, width] (head size for heads) at token ``positions``
    [rows] of each row.

    Positions count from 0 at a row's own first token, whatever the padding. ``mode`` says what is
    done with the state that is there:

    - "replace": the value takes its place.
    - "add": the value is added (steering).
    - "within" a ``subspace``: only its projection changes. The value's projection takes its place,
      plus ``factor`` times itself. So a donor's value swaps the projection, ``subspace.states`` of
      coordinates sets it, and a factor without a value scales it.
    - "without" a ``subspace``: its projection is taken out. Left there is the value's, where one is
      given (a mean, say).
    - "computed": what ``addition`` computes in the pass from the state, the value [rows, size of
      the addition] and the ``factor`` is added, such as a feature's change along its decoder row.

    Raises:
        WorkbenchError: for positions and values that do not fit each other or the mode, a subspace
            of another width or without a mode that uses it, and entries that are not finite.
    """

    site: Site
    positions: Tensor
    value: Tensor = field(default_factory=_no_value)
    mode: Mode = "replace"
    subspace: Subspace | None = None
    factor: float = 0.0
    addition: ComputedAddition | None = None

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise WorkbenchError(f"A patch has a mode of {', '.join(MODES)}, not {self.mode!r}.")
        if (self.addition is None) == (self.mode == "computed"):
            raise WorkbenchError(
                "A patch has an addition exactly when its mode is 'computed'; give both, as "
                "workbench.features does, or neither."
            )
        if self.subspace is None and self.mode in OF_SUBSPACES:
            raise WorkbenchError(
                f"A patch {self.mode!r} a subspace needs one; give subspace=Subspace(basis)."
            )
        if self.subspace is not None and self.mode not in OF_SUBSPACES:
            raise WorkbenchError(
                f"A patch that has a subspace acts 'within' or 'without' it, not by {self.mode!r}."
            )
        if not math.isfinite(self.factor) or (self.factor != 0 and self.mode not in SCALING):
            raise WorkbenchError(
                f"The factor {self.factor} scales a projection 'within' a subspace, or what is "
                f"'computed', and is a finite number; the mode is {self.mode!r}."
            )
        if self.subspace is not None and self.value.dim() == 1 and self.value.numel() == 0:
            self._leave_out_the_value(self.subspace)
        self._require_rows()
        if self.subspace is not None and self.value.shape[1] != self.subspace.width:
            raise WorkbenchError(
                f"The value to write at {self.site} is {self.value.shape[1]} wide, the basis of "
                f"its subspace {self.subspace.width}."
            )
        if not bool(torch.isfinite(self.value).all()):
            raise WorkbenchError(f"The value to write at {self.site} has NaN or infinite entries.")

    def of_rows(self, rows: Tensor) -> Patch:
        """Return the patch of some ``rows`` [n] alone."""
        positions = self.positions[rows.to(self.positions.device)]
        return replace(self, positions=positions, value=self.value[rows.to(self.value.device)])

    def _leave_out_the_value(self, subspace: Subspace) -> None:
        if self.mode == "within" and self.factor == 0:
            raise WorkbenchError(
                "A patch within a subspace needs a value or a factor; to take the projection out, "
                "use the mode 'without'."
            )
        nothing = torch.zeros((self.positions.numel(), subspace.width))
        object.__setattr__(self, "value", nothing.to(self.positions.device))

    def _require_rows(self) -> None:
        if (
            self.positions.dim() != 1
            or self.value.dim() != 2
            or len(self.positions) != len(self.value)
        ):
            raise WorkbenchError(
                "A patch needs positions [rows] and values [rows, width] of the same rows."
            )


Intervention = Patch | AttentionKnockout
Branch = Sequence[Intervention]


def patches_of(branch: Branch) -> tuple[Patch, ...]:
    """Return the patches of a branch, in their order."""
    return tuple(each for each in branch if isinstance(each, Patch))


def knockouts_of(branch: Branch) -> tuple[AttentionKnockout, ...]:
    """Return the knockouts of a branch, in their order."""
    return tuple(each for each in branch if isinstance(each, AttentionKnockout))


@dataclass(frozen=True, eq=False)
class Patched:
    """Readouts of one batch: ``base`` [rows, ...] unpatched, ``patched`` [rows, branches, ...]."""

    base: Tensor
    patched: Tensor
