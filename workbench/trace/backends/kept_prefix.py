"""Record and patch prompts whose first tokens' keys and values are kept: only what follows is
computed.

Nothing before the first patched token, and before the first token an adapter acts on, depends on
the patch or the adapter. So all conditions of a sweep, with the adapter on or off, can share the
keys and values of the prompts' beginnings. One pass computes the rests, with the states that
branches are copied from; further passes compute branches alone. The numbers equal those of whole
prompts (:func:`workbench.trace.packed.patch_branches`) to rounding.

Costs the tokens of the rests and of the branches. The layers' states are kept for the columns from
the first patched token on: [layers patched after, rows, columns, width].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.unembed import unembed_reduced
from workbench.trace.backends.inputs import in_forward_order, position_rows
from workbench.trace.backends.protocol import PositionRows, TokenRows
from workbench.trace.branch_groups import plan_tail_groups
from workbench.trace.branches import BranchColumns, branch_columns, first_tokens, lay_out
from workbench.trace.checks import require_branches, require_positions, require_sites
from workbench.trace.edits import Recording
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.layout import Prompts, join_prompts, pad_prompts
from workbench.trace.prefix_cache import ExtendableCache
from workbench.trace.prompt_cache import CachedPrompts, PromptCache, forward_tail
from workbench.trace.sites import Site
from workbench.trace.suffix import suffix_tail
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns


@dataclass(frozen=True, eq=False)
class KeptPrefixBackend:
    """A backend (:class:`workbench.trace.backends.protocol.Backend`) for the prompts that ``kept``
    begins, row by row. An adapter that is switched on must act on what follows alone.
    """

    lm: LanguageModel
    kept: CachedPrompts

    def record(
        self,
        prompts: TokenRows,
        positions: PositionRows,
        sites: Sequence[Site],
        *,
        tree: TokenTree = NO_TREE,
    ) -> Tensor:
        """Record states of the rests and the tree's nodes: [rows, sites, positions, width].

        Raises:
            WorkbenchError: for sites the model lacks, and positions that are kept.
        """
        lm = self.lm
        require_sites(lm, sites)
        rest, whole = self._rest(prompts)
        at = position_rows(positions, len(prompts))
        require_positions(at, whole.lengths.cpu(), tree.size)
        self._require_computed(at)
        columns = at.to(lm.device) + (whole.columns - whole.lengths)[:, None]
        recording = Recording(columns - self.kept.prompts.columns, tuple(sites), {})
        tail = suffix_tail(self.kept, rest, tree)
        forward_tail(lm, self.kept, tail, end_columns(rest, tree), (), recording=recording)
        return recording.stacked(lm.device)

    def patch(
        self,
        prompts: TokenRows,
        branches: Sequence[Branch],
        readout: Readout,
        *,
        tokens_per_forward: int,
        tree: TokenTree = NO_TREE,
    ) -> Patched:
        """Patch branches in the rests; the rows are one batch, whatever the bound.

        Raises:
            WorkbenchError: for sites, positions and values that do not fit, and patches at tokens
                that are kept.
        """
        lm = self.lm
        ordered = [in_forward_order(branch) for branch in branches]
        rest, whole = self._rest(prompts)
        positions = require_branches(lm, whole.lengths.cpu(), ordered, tree.size)
        self._require_computed(first_tokens(ordered, positions))
        where = branch_columns(
            whole,
            ordered,
            positions,
            torch.arange(whole.rows),
            late=lm.architecture.independent,
        )
        base, computed = self._computed(rest, whole, where, tree)
        read = [_readout(lm, base[:, None], readout)]
        sizes = (whole.columns + tree.size - where.first()).tolist()
        groups = plan_tail_groups(
            sizes, where.first_layers, rest.columns, tokens_per_forward // whole.rows
        )
        for group in groups:
            layout = lay_out(whole, tree, where, group, 0)
            final = forward_tail(
                lm, computed, layout.tail, layout.read.flatten(1), layout.writes, cuts=layout.cuts
            )
            read.append(_readout(lm, final.reshape(*layout.read.shape, -1), readout))
        order = [branch for group in groups for branch in group]
        patched = torch.cat(read[1:], dim=1)[:, torch.as_tensor(order).argsort()]
        unpatched = read[0][:, 0]
        return (
            Patched(unpatched, patched) if tree.size else Patched(unpatched[:, 0], patched[:, :, 0])
        )

    def _rest(self, prompts: TokenRows) -> tuple[Prompts, Prompts]:
        """Return what follows the kept tokens, and the whole prompts.

        Raises:
            WorkbenchError: for prompts that do not go on from what is kept.
        """
        begun = self.kept.prompts
        lengths = begun.lengths.tolist()
        for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
            if list(prompt[:length]) != begun.tokens[row][begun.valid[row]].tolist():
                raise WorkbenchError(
                    f"Prompt {row} does not begin with the tokens whose keys and values are kept; "
                    "give the prompts in the order of the kept rows."
                )
        rests = [prompt[length:] for prompt, length in zip(prompts, lengths, strict=True)]
        rest = pad_prompts(rests, self.lm.tokenizer.pad_token_id, self.lm.device)
        return rest, join_prompts(begun, rest)

    def _require_computed(self, positions: Tensor) -> None:
        if bool((positions < self.kept.prompts.lengths[:, None].to(positions.device)).any()):
            raise WorkbenchError(
                "A token whose keys and values are kept is not computed again, so its state and "
                "what it attends to stay as they are; keep fewer tokens of the prompts."
            )

    def _computed(
        self, rest: Prompts, whole: Prompts, where: BranchColumns, tree: TokenTree
    ) -> tuple[Tensor, CachedPrompts]:
        """Run the rests unpatched; return the states [rows, 1 + nodes, width] after the final norm
        at their ends and nodes, and all that branches need.
        """
        lm, begun = self.lm, self.kept.prompts.columns
        lowest = int(where.first().min())
        columns = torch.arange(lowest, whole.columns + tree.size, device=lm.device) - begun
        sites = tuple(Site(layer) for layer in sorted(set(where.first_layers)) if layer >= 0)
        recording = Recording(columns.expand(whole.rows, -1), sites, {})
        cache = ExtendableCache(self.kept)
        final = forward_tail(
            lm,
            self.kept,
            suffix_tail(self.kept, rest, tree),
            end_columns(rest, tree),
            (),
            recording=recording,
            cache=cache,
        )
        prompt_cache = PromptCache(whole.columns)
        for number, layer in enumerate(cache.layers):
            keys, values = layer.keys, layer.values
            assert keys is not None
            assert values is not None
            prompt_cache.kept[number] = (
                keys[:, :, : whole.columns],
                values[:, :, : whole.columns],
            )
        states = {site.layer: found for site, found in recording.states.items()}
        return final, CachedPrompts(whole, prompt_cache, states, lowest)


def _readout(lm: LanguageModel, final: Tensor, readout: Readout) -> Tensor:
    """Return the readout [rows, ends, 1 + nodes, ...] of states [rows, ends, 1 + nodes, width]."""
    return unembed_reduced(lm, final, readout)
