"""Run branches without packing, as the reference: one hooked forward for each, and plain strings
for families that cannot be packed.

:func:`loop_branches` gives what :func:`workbench.trace.packed.patch_branches` gives, branch by
branch. Attention families are run on the padded batch with the continuation's nodes after it, each
patch written at its own token. Recurrent and linear-attention families have no mask that could hide
padding or a neighbouring node, so there every path of the tree is a string of its own and only
strings of equal length share a forward. A warning says so once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.server import server_of
from workbench.models.unembed import unembed_reduced
from workbench.trace.batches import plan_batches
from workbench.trace.checks import require_branches, require_masks, require_one_invocation
from workbench.trace.edge_cuts import cut_of
from workbench.trace.edits import ColumnWrite, gather_columns
from workbench.trace.forward import run_joint
from workbench.trace.interventions import (
    Branch,
    Patch,
    Patched,
    Readout,
    knockouts_of,
    patches_of,
)
from workbench.trace.layout import empty_tail, pad_prompts
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail
from workbench.trace.unpadded import String, equal_lengths, strings_of, token_at, warn_unpackable

Piece = tuple[Tensor, Tensor, list[Tensor]]
"""Rows [n], nodes [n or n, reads] counted from 1 with 0 for the prompt's end, and readouts:
unpatched, then each branch's.
"""


def loop_branches(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    readout: Readout,
    *,
    tokens_per_forward: int,
    tree: TokenTree = NO_TREE,
) -> Patched:
    """Return the readouts of :func:`workbench.trace.packed.patch_branches`, with the same
    arguments, from one forward for each branch.

    Raises:
        WorkbenchError: as there, and for an adapter on a prompt's last tokens in a family that
            cannot be packed.
    """
    server = server_of(lm)
    if server is not None:
        found: Patched = server.patch(
            lm, prompts, branches, readout, tokens_per_forward, tree, looped=True
        )
        return found
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    positions = require_branches(lm, lengths, branches, tree.size)
    if lm.architecture.packable:
        require_masks(lm)
        pieces = _padded(lm, prompts, branches, positions, readout, tokens_per_forward, tree)
    else:
        require_one_invocation(lm)
        warn_unpackable(lm)
        pieces = _as_strings(lm, prompts, branches, positions, readout, tokens_per_forward, tree)
    out: Tensor | None = None
    for rows, ends, readings in pieces:
        if out is None:
            shape = (len(prompts), 1 + len(branches), 1 + tree.size)
            out = readings[0].new_empty(*shape, *readings[0].shape[ends.dim() :])
        for number, reading in enumerate(readings):
            out[rows[:, None] if ends.dim() > 1 else rows, number, ends] = reading
    assert out is not None
    return Patched(out[:, 0], out[:, 1:]) if tree.size else Patched(out[:, 0, 0], out[:, 1:, 0])


def _padded(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    positions: Tensor,
    readout: Readout,
    tokens_per_forward: int,
    tree: TokenTree,
) -> Iterator[Piece]:
    for batch in plan_batches(
        [len(prompt) for prompt in prompts], tokens_per_forward, overhead=tree.size
    ):
        rows = torch.as_tensor(batch)
        padded = pad_prompts([prompts[row] for row in batch], lm.tokenizer.pad_token_id, lm.device)
        tail, read = tree_tail(padded, tree), end_columns(padded, tree)
        pad = padded.columns - padded.lengths
        columns = positions[rows].to(lm.device) + pad[:, None]
        readings, at = [], 0
        for branch in ((), *branches):
            writes = [
                _write(patch, columns[:, at + i, None], rows)
                for i, patch in enumerate(patches_of(branch))
            ]
            at += len(writes)
            cuts = [cut_of(knockout, rows, padded) for knockout in knockouts_of(branch)]
            states = run_joint(lm, padded, tail, None, writes, None, cuts=cuts)
            final = gather_columns(states, read)
            readings.append(unembed_reduced(lm, final, readout))
        yield rows, torch.arange(1 + tree.size).expand(len(rows), -1), readings


def _as_strings(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    positions: Tensor,
    readout: Readout,
    tokens_per_forward: int,
    tree: TokenTree,
) -> Iterator[Piece]:
    for strings in equal_lengths(strings_of(prompts, tree), tokens_per_forward):
        batch = pad_prompts(
            [string.tokens for string in strings], lm.tokenizer.pad_token_id, lm.device
        )
        last = torch.full((batch.rows, 1), batch.columns - 1, device=lm.device)
        readings, at = [], 0
        for branch in ((), *branches):
            writes, patches = [], patches_of(branch)
            for i, patch in enumerate(patches):
                writes += _write_strings(patch, positions[:, at + i], strings, prompts, tree)
            at += len(patches)
            final = gather_columns(
                run_joint(lm, batch, empty_tail(batch), None, writes, None), last
            )[:, 0]
            readings.append(unembed_reduced(lm, final, readout))
        yield (
            torch.tensor([s.row for s in strings]),
            torch.tensor([s.node + 1 for s in strings]),
            readings,
        )


def _write_strings(
    patch: Patch,
    positions: Tensor,
    strings: Sequence[String],
    prompts: Sequence[Sequence[int]],
    tree: TokenTree,
) -> list[ColumnWrite]:
    """Return the writes of the patch on those strings that hold its token."""
    tokens = [token_at(s, int(positions[s.row]), len(prompts[s.row]), tree) for s in strings]
    here = [(index, token) for index, token in enumerate(tokens) if token is not None]
    return [write_patch(patch, here, [strings[i].row for i, _ in here])] if here else []


def write_patch(patch: Patch, here: Sequence[tuple[int, int]], rows: Sequence[int]) -> ColumnWrite:
    """Return the write of ``patch`` at ``here``, pairs of a row of a pass and a column, with the
    values of the prompts ``rows``.
    """
    only, columns = torch.as_tensor(here).unbind(1)
    return _write(patch, columns[:, None], torch.as_tensor(rows), only)


def _write(patch: Patch, columns: Tensor, rows: Tensor, only: Tensor | None = None) -> ColumnWrite:
    site = patch.site
    value = patch.value[rows.to(patch.value.device), None]
    named = () if site.index is None else (site,)
    return ColumnWrite(
        site.layer,
        columns,
        value,
        site.component,
        named,
        patch.mode == "add",
        only,
        patch.subspace,
        patch.factor,
        patch.addition,
    )
