"""Describe what is done to a forward pass: states replaced or added at sites and tokens, and how
the outcome is read.

A :class:`Patch` acts on one site at one token of each row; a *branch* is a set of patches applied
together (one cell of a map, a window of layers, several positions). Rows of a batch share sites but
have their own positions and values, so donors may differ from row to row. Values are finished
tensors: a recorded state, zeros, a mean, a direction, a noise draw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.trace.sites import Site

Readout = Callable[[Tensor], Tensor]
"""Next-token logits [n, vocab] -> [n, ...], for example ``lambda logits: logits[:, ids]``."""


@dataclass(frozen=True, eq=False)
class Patch:
    """A write at one site: ``value`` [rows, width] (head size for heads) at token ``positions``
    [rows] of each row.

    Positions count from 0 at a row's own first token, whatever the padding. ``mode`` "add" adds the
    value to what is there (steering) instead of replacing it.
    """

    site: Site
    positions: Tensor
    value: Tensor
    mode: Literal["replace", "add"] = "replace"

    def __post_init__(self) -> None:
        if (
            self.positions.dim() != 1
            or self.value.dim() != 2
            or len(self.positions) != len(self.value)
        ):
            raise WorkbenchError(
                "A patch needs positions [rows] and values [rows, width] of the same rows."
            )
        if self.mode not in ("replace", "add"):
            raise WorkbenchError(f"A patch replaces or adds; {self.mode!r} is neither.")
        if not bool(torch.isfinite(self.value).all()):
            raise WorkbenchError(f"The value to write at {self.site} has NaN or infinite entries.")


Branch = Sequence[Patch]


@dataclass(frozen=True, eq=False)
class Patched:
    """Readouts of one batch: ``base`` [rows, ...] unpatched, ``patched`` [rows, branches, ...]."""

    base: Tensor
    patched: Tensor
