"""What a backend must do: record states and patch them, under one meaning of sites, positions and
branches.

Prompts are token ids of different lengths; positions count from 0 at each row's own first token, so
padding never shows. ``record`` copies states out of a plain forward. ``patch`` runs the prompts
once as they are and once for every branch, and hands both next-token distributions through the
caller's readout. Two backends that keep this protocol give the same numbers to rounding; how many
forwards they spend is their own affair.

Agreement of backends says that they mean the same by a site, not that a patch shows what its author
hopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.sites import Site

TokenRows = Sequence[Sequence[int]]
"""Token ids of each row, of any length."""

PositionRows = Sequence[Sequence[int]] | Tensor
"""Token positions [rows, n] of each row, as many in every row."""


class Backend(Protocol):
    """Records and patches one model."""

    def record(self, prompts: TokenRows, positions: PositionRows, sites: Sequence[Site]) -> Tensor:
        """States [rows, sites, positions, width] of one plain forward, in the order asked for.

        ``width`` is that of the residual stream, or of a head when all sites are heads; the two do
        not mix.

        Raises :class:`~workbench.errors.WorkbenchError` for positions outside a row and sites the
        model lacks.
        """
        ...

    def patch(self, prompts: TokenRows, branches: Sequence[Branch], readout: Readout) -> Patched:
        """``readout`` of the next token behind every row's last token, without and with each
        branch.

        Patches of a branch act in forward order, and in the order given where they share a site.
        ``readout`` sees float32 logits [rows, vocab].

        Raises :class:`~workbench.errors.WorkbenchError` as :meth:`record`, and for donors of
        another width or row count.
        """
        ...
