"""Lay branches out as packed tail tokens: for each, copies of the prompt's tokens from its first
changed one on, and of the end's nodes.

A patch at token s changes only tokens from s on, and only above its place; so does a cut of what s
attends to. So a branch is a copy of the tokens s.. and of the nodes the readout needs. It is
appended after the last layer whose computation it leaves as it is; its values are written over its
own copies, and what these may not read is hidden from them alone. It sees the prompt before s and
itself, never another branch.

Rows may start at different tokens; the branch then has the longest row's number of columns. No
other column sees a shorter row's surplus columns. *Base columns* count the prompt's columns and
then the nodes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor

from workbench.trace.edge_cuts import EdgeCut, cut_of
from workbench.trace.edits import ColumnWrite, SiteKey, place
from workbench.trace.interventions import Branch, Patch, knockouts_of, patches_of
from workbench.trace.knockouts import AttentionKnockout
from workbench.trace.layout import FIRST_LAYER, Prompts, Tail
from workbench.trace.sites import Site
from workbench.trace.token_tree import TokenTree, tree_tail


def first_layer_of(site: Site) -> int:
    """Return the layer after which a branch must exist for a patch at ``site``; FIRST_LAYER for a
    patch inside the first layer.
    """
    return site.layer if site.component == "resid_post" else site.layer - 1


def first_layer_of_branch(branch: Branch) -> int:
    """Return the layer after which a branch must exist: the lowest of its patches', and the one
    before the lowest of its knockouts'.
    """
    patched = [first_layer_of(patch.site) for patch in patches_of(branch)]
    return min([*patched, *(each.layers[0] - 1 for each in knockouts_of(branch))])


def first_tokens(
    branches: Sequence[Branch], positions: Tensor, rows: Tensor | None = None
) -> Tensor:
    """Return the first token of each row that a branch changes, [rows, branches], on the CPU.

    ``positions`` [rows, patches] are those of all patches, checked before; ``rows`` names theirs,
    if they are not all.
    """
    owner = [number for number, branch in enumerate(branches) for _ in patches_of(branch)]
    index = torch.as_tensor(owner, dtype=torch.long).expand(len(positions), -1)
    firsts = torch.full((len(positions), len(branches)), torch.iinfo(torch.long).max)
    firsts.scatter_reduce_(1, index, positions.long().cpu(), "amin")
    for number, branch in enumerate(branches):
        for knockout in knockouts_of(branch):
            queries = knockout.queries.long().cpu()
            mine = queries if rows is None else queries[rows.cpu()]
            firsts[:, number] = torch.minimum(firsts[:, number], mine.amin(dim=1))
    return firsts


@dataclass(frozen=True, eq=False)
class BranchColumns:
    """The columns of the branches over one batch of prompts.

    Attributes:
        patches: of all branches, in branch order; those of branch b are ``bounds[b]`` to ``bounds[b
            + 1]``.
        rows: [rows] which rows of the patches' values the batch holds.
        columns: [rows, patches] base column of each patch.
        starts: [rows, branches] first prompt column that is changed.
        first_layers: [branches] the layer after which each is appended.
        knockouts: of each branch.
    """

    patches: tuple[Patch, ...]
    bounds: tuple[int, ...]
    rows: Tensor
    columns: Tensor
    starts: Tensor
    first_layers: tuple[int, ...]
    knockouts: tuple[tuple[AttentionKnockout, ...], ...]

    def first(self) -> Tensor:
        """Return the first base column each branch copies, [branches]."""
        return self.starts.amin(dim=0)


def branch_columns(
    prompts: Prompts,
    branches: Sequence[Branch],
    positions: Tensor,
    rows: Tensor,
    *,
    late: bool = True,
) -> BranchColumns:
    """Return the columns of ``branches`` whose patches lie at token ``positions`` [rows, patches],
    checked before.

    Args:
        late: let a branch begin at the layer of its first patch or cut; else all begin at the first
            layer.
    """
    parts = [patches_of(branch) for branch in branches]
    pad = prompts.columns - prompts.lengths
    firsts = first_tokens(branches, positions, rows).to(pad.device)
    return BranchColumns(
        tuple(patch for part in parts for patch in part),
        (0, *accumulate(map(len, parts))),
        rows,
        positions.to(pad.device) + pad[:, None],
        (firsts + pad[:, None]).clamp(max=prompts.columns - 1),
        tuple(first_layer_of_branch(branch) if late else FIRST_LAYER for branch in branches),
        tuple(knockouts_of(branch) for branch in branches),
    )


@dataclass(frozen=True, eq=False)
class Layout:
    """A tail, the columns [rows, branches, 1 + nodes] where its branches end, the writes, and the
    cuts.

    Columns of cuts count from the prompts' first, also where the others count from the tail's.
    """

    tail: Tail
    read: Tensor
    writes: tuple[ColumnWrite, ...]
    cuts: tuple[EdgeCut, ...] = ()


def lay_out(
    prompts: Prompts, tree: TokenTree, where: BranchColumns, chosen: Sequence[int], offset: int
) -> Layout:
    """Lay out the tail of the ``chosen`` branches, which ascend in their first layer. Its first
    token is at global column ``offset``.
    """
    device = prompts.tokens.device
    plain = tree_tail(prompts, tree)
    pick = torch.as_tensor(chosen, device=device)
    first = where.first()[pick]
    sizes = prompts.columns + tree.size - first
    branch = torch.repeat_interleave(torch.arange(len(chosen), device=device), sizes)
    begin = sizes.cumsum(0) - sizes
    source = torch.arange(len(branch), device=device) - begin[branch] + first[branch]
    starts = where.starts[:, pick][:, branch]
    tail = Tail(
        tokens=torch.cat([prompts.tokens, plain.tokens], dim=1)[:, source],
        positions=torch.cat([prompts.positions, plain.positions], dim=1)[:, source],
        prefix_end=starts,
        attends_to=_attends_to(prompts.columns, tree, branch, source, starts),
        first_layer=tuple(
            where.first_layers[b]
            for b, size in zip(chosen, sizes.tolist(), strict=True)
            for _ in range(size)
        ),
        source_column=source.expand(prompts.rows, -1),
    )
    ends = torch.arange(prompts.columns - 1, prompts.columns + tree.size, device=device)
    shift = offset + begin - first
    read = shift[:, None] + ends
    after_prompts = max(offset, prompts.columns) + begin - first
    return Layout(
        tail,
        read.expand(prompts.rows, -1, -1),
        _writes(where, chosen, shift),
        tuple(
            cut_of(knockout, where.rows, prompts, where.starts[:, branch], after_prompts[number])
            for number, branch in enumerate(chosen)
            for knockout in where.knockouts[branch]
        ),
    )


def _attends_to(
    columns: int, tree: TokenTree, branch: Tensor, source: Tensor, starts: Tensor
) -> Tensor:
    """Return [1 or rows, k, k]: a branch's token sees those of its own branch whose sources its
    source would see, from the row's start on.
    """
    size = columns + tree.size
    base = torch.ones((size, size), dtype=torch.bool, device=source.device).tril()
    base[columns:, columns:] = tree.ancestry().to(source.device)
    attends_to = base[source][:, source] & (branch[:, None] == branch)
    inside = source >= starts
    if bool(inside.all()):
        return attends_to[None]
    return (attends_to & inside[:, None, :]) | torch.eye(
        len(source), dtype=torch.bool, device=source.device
    )


def join_tails(plain: Tail, branches: Tail) -> Tail:
    """Join the unpatched nodes and the branches, in this order, neither seeing the other."""
    rows, first, total = (
        max(len(plain.attends_to), len(branches.attends_to)),
        plain.size,
        plain.size + branches.size,
    )
    attends_to = torch.zeros((rows, total, total), dtype=torch.bool, device=plain.tokens.device)
    attends_to[:, :first, :first] = plain.attends_to
    attends_to[:, first:, first:] = branches.attends_to
    pairs = (
        (getattr(plain, name), getattr(branches, name))
        for name in ("tokens", "positions", "prefix_end", "source_column")
    )
    tokens, positions, prefix_end, source = (torch.cat(pair, dim=1) for pair in pairs)
    return Tail(
        tokens,
        positions,
        prefix_end,
        attends_to,
        (FIRST_LAYER,) * first + branches.first_layer,
        source,
    )


_Alike = tuple[int, SiteKey, tuple[bool, int, float, int], int]
"""What patches share that are written at once: which of their branch's at the place, the place,
how they change the state there (added, in which subspace object, by which factor, by which computed
addition), and the width.
"""


def _writes(where: BranchColumns, chosen: Sequence[int], shift: Tensor) -> tuple[ColumnWrite, ...]:
    """Return the writes of the chosen branches, gathered by place: one for the first patch of each
    branch there, one for the second, and so on.

    ``shift`` [chosen] leads from base columns to each branch's own.
    """
    gathered: dict[_Alike, list[tuple[int, int]]] = {}
    for number, branch in enumerate(chosen):
        turns: dict[SiteKey, int] = {}
        for index in range(where.bounds[branch], where.bounds[branch + 1]):
            patch = where.patches[index]
            at = place(patch.site.layer, patch.site.component)
            turns[at] = turns.get(at, -1) + 1
            kind = (patch.mode == "add", id(patch.subspace), patch.factor, id(patch.addition))
            key = (turns[at], at, kind, patch.value.shape[-1])
            gathered.setdefault(key, []).append((number, index))
    device = shift.device
    writes = []
    for (_, (layer, component), (add, _, factor, _), _), members in sorted(
        gathered.items(), key=lambda item: item[0][0]
    ):
        owners, indices = torch.as_tensor(members, device=device).unbind(1)
        patches = [where.patches[index] for _, index in members]
        values = torch.stack([patch.value.to(device) for patch in patches], dim=1)[
            where.rows.to(device)
        ]
        columns = where.columns[:, indices] + shift[owners]
        named = tuple(patch.site for patch in patches if patch.site.index is not None)
        subspace = patches[0].subspace
        writes.append(
            ColumnWrite(
                layer,
                columns,
                values,
                component,
                named,
                add,
                subspace=subspace,
                factor=factor,
                addition=patches[0].addition,
            )
        )
    return tuple(writes)
