"""Run any number of patched branches of a batch of prompts, in as few forward passes as a memory
bound allows.

The unpatched readout and the first branches come out of one pass over prompts and branches;
branches that do not fit follow in passes of their own on the kept prompts (see
:mod:`workbench.trace.prompt_cache`). Every number equals, to rounding, that of one hooked forward a
branch (:func:`workbench.trace.hooked_loop.loop_branches`). That loop also runs branches that start
before the tokens a switched-on adapter acts on. Recurrent families continue branches from copies of
their prompts' states instead (:mod:`workbench.trace.forked`).

The bound counts tokens: rows times (padded prompt + branch columns) of a pass. Masks add rows *
columns ** 2 numbers for each kind of attention layer, and the readout at most
:data:`workbench.models.unembed.CHUNK_BYTES` of logits. When branches take several passes, the
prompts' keys and values, and the states that late branches are copied from, are kept in addition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.invocation import active_invocation
from workbench.models.server import server_of
from workbench.models.unembed import unembed_reduced
from workbench.trace.batches import map_batches
from workbench.trace.branch_groups import plan_joint_groups, tail_room
from workbench.trace.branches import (
    BranchColumns,
    Layout,
    branch_columns,
    first_tokens,
    join_tails,
    lay_out,
)
from workbench.trace.checks import require_branches, require_masks
from workbench.trace.edits import gather_columns
from workbench.trace.forked import fork_branches
from workbench.trace.forward import run_joint
from workbench.trace.hooked_loop import loop_branches
from workbench.trace.interventions import Branch, Patched, Readout
from workbench.trace.layout import Prompts, pad_prompts
from workbench.trace.prompt_cache import CachedPrompts, forward_keeping, forward_tail
from workbench.trace.token_tree import NO_TREE, TokenTree, end_columns, tree_tail


def patch_branches(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    readout: Readout,
    *,
    tokens_per_forward: int,
    tree: TokenTree = NO_TREE,
) -> Patched:
    """Read the end of every prompt, unpatched and in every branch.

    Args:
        prompts: token ids of each row.
        branches: sets of patches; every patch has one position and one value per prompt. A position
            at or after a prompt's length names a node of the tree.
        readout: reduces next-token logits [n, vocab] to [n, ...].
        tokens_per_forward: most tokens of a forward; a single row with a single branch may exceed
            it.
        tree: further tokens whose next-token logits are read in every branch.

    Returns:
        ``base`` [rows, ...] and ``patched`` [rows, branches, ...]; with tree nodes [rows, 1 +
        nodes, ...] and [rows, branches, 1 + nodes, ...], the prompt's last token first.

    Raises:
        WorkbenchError: before any forward, for sites, positions, values or kernels that do not fit.
    """
    server = server_of(lm)
    if server is not None:
        found: Patched = server.patch(
            lm, prompts, branches, readout, tokens_per_forward, tree, looped=False
        )
        return found
    if not lm.architecture.packable:
        return fork_branches(
            lm, prompts, branches, readout, tokens_per_forward=tokens_per_forward, tree=tree
        )
    require_masks(lm)
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    positions = require_branches(lm, lengths, branches, tree.size)
    firsts = first_tokens(branches, positions)
    early = _before_invocation(lm, firsts, lengths)
    if early:
        return _loop_early(lm, prompts, branches, early, readout, tokens_per_forward, tree)
    wanted = int(((lengths[:, None] - firsts).clamp(min=1).amax(dim=0) + tree.size).sum())
    room = tail_room(tokens_per_forward, int(lengths.max()), wanted)

    def compute(numbers: NDArray[np.int64]) -> tuple[Tensor, ...]:
        rows = torch.as_tensor(numbers)
        padded = pad_prompts(
            [prompts[row] for row in numbers], lm.tokenizer.pad_token_id, lm.device
        )
        where = branch_columns(
            padded, branches, positions[rows], rows, late=lm.architecture.independent
        )
        return _batch(lm, padded, where, readout, tokens_per_forward, tree)

    base, patched = map_batches(lengths.tolist(), tokens_per_forward, compute, tree.size + room)
    return Patched(base, patched) if tree.size else Patched(base[:, 0], patched[:, :, 0])


def _before_invocation(lm: LanguageModel, firsts: Tensor, lengths: Tensor) -> set[int]:
    """Return the indices of branches that start, at tokens ``firsts`` [rows, branches], before the
    tokens a switched-on adapter acts on.

    Packed, their copies of earlier tokens would follow the prompt, where the adapter would act on
    them too.
    """
    invocation = active_invocation(lm)
    if invocation is None:
        return set()
    before = (firsts < lengths[:, None] - invocation).any(dim=0)
    return {*before.nonzero()[:, 0].tolist()}


def _loop_early(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    early: set[int],
    readout: Readout,
    tokens_per_forward: int,
    tree: TokenTree,
) -> Patched:
    """Run the ``early`` branches in the loop of hooked forwards and the others packed;
    return both.
    """
    late = [number for number in range(len(branches)) if number not in early]
    parts = [
        run(
            lm,
            prompts,
            [branches[number] for number in chosen],
            readout,
            tokens_per_forward=tokens_per_forward,
            tree=tree,
        )
        for run, chosen in ((patch_branches, late), (loop_branches, sorted(early)))
        if chosen
    ]
    back = torch.as_tensor([*late, *sorted(early)]).argsort().to(parts[0].base.device)
    return Patched(parts[0].base, torch.cat([part.patched for part in parts], dim=1)[:, back])


def _batch(
    lm: LanguageModel,
    prompts: Prompts,
    where: BranchColumns,
    readout: Readout,
    tokens_per_forward: int,
    tree: TokenTree,
) -> tuple[Tensor, Tensor]:
    """Return readouts [rows, 1 + nodes, ...] and [rows, branches, 1 + nodes, ...] of one batch."""
    bases = prompts.columns + tree.size
    first = where.first()
    sizes = (bases - first).tolist()
    groups = plan_joint_groups(sizes, where.first_layers, bases, tokens_per_forward // prompts.rows)
    plain, ends = tree_tail(prompts, tree), end_columns(prompts, tree)
    layout = lay_out(prompts, tree, where, groups[0], bases) if groups[0] else None
    tail = join_tails(plain, layout.tail) if layout else plain
    read = torch.cat([ends[:, None], layout.read], dim=1) if layout else ends[:, None]
    writes = layout.writes if layout else ()
    cuts = layout.cuts if layout else ()
    if len(groups) == 1:
        states = run_joint(lm, prompts, tail, None, writes, None, cuts=cuts)
        final, kept = gather_columns(states, read.flatten(1)), None
    else:
        first_layers = sorted(
            {where.first_layers[branch] for group in groups[1:] for branch in group}
        )
        lowest = int(first.min())
        final, kept = forward_keeping(
            lm,
            prompts,
            tail,
            read.flatten(1),
            writes,
            lowest=lowest,
            bases=bases,
            first_layers=first_layers,
            cuts=cuts,
        )
    both = _read(lm, final, read, readout)
    patched = both.new_empty(both.shape[0], len(where.first_layers), *both.shape[2:])
    patched[:, groups[0]] = both[:, 1:]
    for group in groups[1:]:
        assert kept is not None
        patched[:, group] = _later(lm, kept, lay_out(prompts, tree, where, group, 0), readout)
    return both[:, 0], patched


def _later(lm: LanguageModel, kept: CachedPrompts, layout: Layout, readout: Readout) -> Tensor:
    read = layout.read.flatten(1)
    final = forward_tail(lm, kept, layout.tail, read, layout.writes, cuts=layout.cuts)
    return _read(lm, final, layout.read, readout)


def _read(lm: LanguageModel, final: Tensor, read: Tensor, readout: Readout) -> Tensor:
    """Return the readout [rows, ends, 1 + nodes, ...] of the states at ``read`` [rows, ends, 1 +
    nodes].
    """
    return unembed_reduced(lm, final.reshape(*read.shape, -1), readout)
