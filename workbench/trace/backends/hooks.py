"""Record and patch with the project's hooks: in packed branches, the default, or in the loop they
are checked against.

Packed, all branches share the prompts' forward (:func:`workbench.trace.packed.patch_branches`); in
the loop each has a forward of its own (:func:`workbench.trace.hooked_loop.loop_branches`), as the
other libraries do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.backends.inputs import in_forward_order, position_rows
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.packed import patch_branches
from workbench.trace.record import record
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree


@dataclass(frozen=True, eq=False)
class HooksBackend:
    """A backend on the project's hooks. ``looped`` spends a forward on each branch instead of
    packing them.
    """

    lm: LanguageModel
    looped: bool = False

    def record(
        self,
        prompts: TokenRows,
        positions: PositionRows,
        sites: Sequence[Site],
        *,
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Record states as :class:`~workbench.trace.backends.protocol.Backend` says, in one
        forward.
        """
        rows = position_rows(positions, len(prompts)).tolist()
        return record(self.lm, prompts, rows, sites, tree=tree)

    def patch(
        self,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        *,
        tokens_per_forward: int,
        tree: TokenTree = NO_TREE,
    ) -> Patched:
        """Patch branches as :class:`~workbench.trace.backends.protocol.Backend` says. Packed, this
        takes as few forwards as the bound allows.
        """
        run = loop_branches if self.looped else patch_branches
        ordered = [in_forward_order(branch) for branch in branches]
        return run(
            self.lm, prompts, ordered, readout, tokens_per_forward=tokens_per_forward, tree=tree
        )
