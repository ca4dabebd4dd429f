"""Define what a backend must do: record states and patch them, under one meaning of sites,
positions, branches and token trees.

Prompts are token ids of different lengths; positions count from 0 at each row's own first token, so
they do not depend on padding, and from a prompt's length on they name nodes of the tree that may
follow it. ``record`` copies states out of a plain forward. ``patch`` runs the prompts once as they
are and once for every branch, and passes the next-token distributions at every prompt's end and at
the tree's nodes through the caller's readout. Two backends that keep this protocol give the same
numbers to rounding; they may take different numbers of forwards. So every sweep, map and readout of
a scale runs on each of them.

An *engine* is a function that makes a backend of a model in its present state. It is called after
an adapter has been switched on or off, because some backends copy the model.

Agreement of backends says that they mean the same by a site, not that a patch shows what it is
taken to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree

TokenRows = Sequence[Sequence[int]]
"""Token ids of each row, of any length."""

PositionRows = Sequence[Sequence[int]] | Tensor
"""Token positions [rows, n] of each row, as many in every row."""


class Backend(Protocol):
    """An object that records and patches one model."""

    def record(
        self,
        prompts: TokenRows,
        positions: PositionRows,
        sites: Sequence[Site],
        *,
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Return the states [rows, sites, positions, width] of a plain forward, in the order asked
        for.

        ``width`` is that of the residual stream, or of a head when all sites are heads; the two do
        not mix.

        Raises:
            WorkbenchError: for positions outside a row and sites the model lacks.
        """
        ...

    def patch(
        self,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        *,
        tokens_per_forward: int,
        tree: TokenTree = NO_TREE,
    ) -> Patched:
        """Return ``readout`` of the next token at every row's end and tree node, without and with
        each branch.

        Patches of a branch act in forward order, and in the order given where they share a site.

        Args:
            readout: is given float32 or narrower logits [n, vocab], n of any size.
            tokens_per_forward: most tokens of a forward; a single row with a single branch may
                exceed it.
            tree: further tokens whose next-token logits are read in every branch.

        Returns:
            ``base`` [rows, ...] and ``patched`` [rows, branches, ...]; with tree nodes [rows, 1 +
            nodes, ...] and [rows, branches, 1 + nodes, ...], the prompt's last token first.

        Raises:
            WorkbenchError: as :meth:`record`, and for donors of another width or row count.
        """
        ...


Engine = Callable[[LanguageModel], Backend]
"""A function that makes a backend of a model in its present state."""
