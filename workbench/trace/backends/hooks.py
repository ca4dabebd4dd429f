"""The backend on the project's own engine: packed branches, the default.

All branches share the prompts' forward (:func:`workbench.trace.packed.patch_branches`); the other
backends spend a forward for each and are what this one is checked against.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.backends.inputs import in_forward_order, position_rows
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.packed import patch_branches
from workbench.trace.record import record
from workbench.trace.sites import Site


@dataclass(frozen=True, eq=False)
class HooksBackend:
    """``tokens_per_forward`` bounds the tokens of one forward, see
    :func:`workbench.trace.packed.patch_branches`.
    """

    lm: LanguageModel
    tokens_per_forward: int = 8192

    def record(self, prompts: TokenRows, positions: PositionRows, sites: Sequence[Site]) -> Tensor:
        """See :class:`~workbench.trace.backends.protocol.Backend`; one forward."""
        return record(self.lm, prompts, position_rows(positions, len(prompts)).tolist(), sites)

    def patch(self, prompts: TokenRows, branches: Sequence[Branch], readout: Readout) -> Patched:
        """See :class:`~workbench.trace.backends.protocol.Backend`; as few forwards as the budget
        allows.
        """
        ordered = [in_forward_order(branch) for branch in branches]
        return patch_branches(
            self.lm, prompts, ordered, readout, tokens_per_forward=self.tokens_per_forward
        )
