"""Make the inputs of a benchmark: prompts of one length, donors, one readout, and
the plain forward.

Prompts are random token ids of equal length, so that no method pays for padding; the cost of a
forward does not depend on which tokens it reads. Donors are states of other prompts. All methods
read the log-probabilities of the same two tokens.

The *plain forward* is the model's own, as its user would call it: ``model(input_ids,
use_cache=False, logits_to_keep=1)`` under no_grad, with the kernel's causal mask and the logits of
the last token alone. Ratios to it favour no method.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.patch.branches import layer_sites, site_branches
from workbench.patch.maps import token_log_probabilities
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.packed import patch_branches
from workbench.trace.record import record_states
from workbench.trace.subspace import Subspace

READ = (11, 12)
ONE_FORWARD = 2**62
SPECIAL = 10


@dataclass(frozen=True, eq=False)
class BenchInputs:
    """The inputs of a benchmark. ``prompts``: [rows] of equal length; ``donors`` [rows, layers,
    positions, width] at the last ``positions`` tokens.
    """

    lm: LanguageModel
    prompts: list[list[int]]
    donors: Tensor
    readout: Readout

    @property
    def rows(self) -> int:
        return len(self.prompts)

    @property
    def tokens(self) -> int:
        return len(self.prompts[0])

    def layers(
        self, layers: Sequence[int], subspaces: Mapping[int, Subspace] | None = None
    ) -> list[Branch]:
        """Return one branch for each layer: its residual output at the last token, or its
        projection onto that layer's subspace alone.
        """
        last = torch.full((self.rows,), self.tokens - 1)
        donors = self.donors[:, list(layers), -1]
        return site_branches(layer_sites(layers), last, donors, subspaces=subspaces)

    def packed(self, branches: Sequence[Branch], tokens_per_forward: int = ONE_FORWARD) -> Patched:
        """Run all ``branches`` by the packed engine."""
        return patch_branches(
            self.lm, self.prompts, branches, self.readout, tokens_per_forward=tokens_per_forward
        )

    def forward(self) -> Tensor:
        """Run the plain forward; return the same readout, [rows, 2]."""
        ids = torch.tensor(self.prompts, device=self.lm.device)
        with torch.no_grad():
            return self.readout(
                self.lm.base()(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
            )


def make_inputs(lm: LanguageModel, rows: int, tokens: int, positions: int = 1) -> BenchInputs:
    """Make the inputs of ``rows`` prompts of ``tokens`` tokens with donors at the last
    ``positions`` of them.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randint(
        SPECIAL, lm.config.vocab_size - SPECIAL, (2, rows, tokens), generator=generator
    )
    prompts, others = drawn.tolist()
    at = [list(range(tokens - min(positions, tokens), tokens))] * rows
    return BenchInputs(lm, prompts, record_states(lm, others, at), token_log_probabilities(READ))
