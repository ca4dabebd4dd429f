"""Record components at chosen tokens, and nothing else of the pass."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.models.room import require_room
from workbench.models.server import server_of
from workbench.trace.checks import require_one_invocation, require_positions, require_sites
from workbench.trace.continuation import Continuation, continuation_of
from workbench.trace.edits import Recording
from workbench.trace.forward import every_layer, record_only
from workbench.trace.layout import empty_tail, pad_prompts, pad_right
from workbench.trace.row_states import run_rows
from workbench.trace.sites import Site
from workbench.trace.token_tree import NO_TREE, TokenTree, tree_tail
from workbench.trace.tree_walk import UNPATCHED, Place, TreeWalk
from workbench.trace.unpadded import (
    String,
    equal_lengths,
    rows_of_one_length,
    states_by_string,
    warn_unpadded,
)


def record(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Sequence[Sequence[int]],
    sites: Sequence[Site],
    *,
    tree: TokenTree = NO_TREE,
) -> Tensor:
    """Record the states of ``sites`` at each prompt's positions: [rows, sites, positions, width]
    (head size for heads).

    One forward, which ends after the highest layer asked for and needs no mask unless a tree
    follows the prompts or an adapter acts on their ends alone. Families that cannot be padded run
    their rows in groups of equal length.

    Args:
        positions: token indices of each row, 0 at its first token, as many in every row; from the
            prompt's length on they name nodes of the tree.
        sites: in any order; heads only among themselves.

    Raises:
        WorkbenchError: before the forward, for sites the model lacks and positions outside their
            prompt.
    """
    where = server_of(lm)
    if where is not None:
        return where.record(lm, prompts, positions, sites, tree)
    require_sites(lm, sites)
    if len({len(row) for row in positions}) != 1 or len(positions) != len(prompts):
        raise WorkbenchError("Give positions for every prompt, as many for one as for another.")
    at = torch.as_tensor([list(row) for row in positions], dtype=torch.long)
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    require_positions(at, lengths, tree.size)
    if not lm.architecture.packable:
        return _unpadded(lm, prompts, at, sites, tree)
    if tree.size == 0 and lm.invocation_length is None:
        plain = pad_right(prompts, lm.tokenizer.pad_token_id, lm.device)
        return record_only(lm, plain, empty_tail(plain), at.to(lm.device), sites)
    batch = pad_prompts(prompts, lm.tokenizer.pad_token_id, lm.device)
    columns = at.to(lm.device) + (batch.columns - batch.lengths)[:, None]
    return record_only(lm, batch, tree_tail(batch, tree), columns, sites)


def record_states(
    lm: LanguageModel, prompts: Sequence[Sequence[int]], positions: Sequence[Sequence[int]]
) -> Tensor:
    """Record the states after every layer at each prompt's positions (0 = its first token): [rows,
    layers, positions, width].
    """
    return record(lm, prompts, positions, every_layer(lm))


def _unpadded(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Tensor,
    sites: Sequence[Site],
    tree: TokenTree,
) -> Tensor:
    """Record the same states without padding; nodes after copies of their prompts' states where the
    model continues from them.
    """
    require_one_invocation(lm)
    lengths = torch.as_tensor([len(prompt) for prompt in prompts])
    if bool((positions >= lengths[:, None]).any()):
        continuation = continuation_of(lm, prompts)
        if not continuation.why_not:
            warn_unpadded(lm)
            return _continued(lm, prompts, positions, sites, tree, continuation)
    warn_unpadded(lm)
    return _as_strings(lm, prompts, positions, sites, tree)


def _continued(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Tensor,
    sites: Sequence[Site],
    tree: TokenTree,
    continuation: Continuation,
) -> Tensor:
    """Record prompts from one pass and every node that is asked for from a token after them."""
    lengths = [len(prompt) for prompt in prompts]
    require_room(lm, max(lengths) + max(tree.depths(), default=0))
    needed = [
        {step for p in row if p >= length for step in tree.path(p - length)}
        for row, length in zip(positions.tolist(), lengths, strict=True)
    ]
    whole = sum(lengths)

    def most(length: int) -> int:
        return continuation.most_rows(length, whole)

    def children(place: Place) -> list[Place]:
        return [
            Place(place.row, place.branch, node)
            for node, parent in enumerate(tree.parents)
            if parent == place.node and node in needed[place.row]
        ]

    def first_column(rows: int) -> Recording:
        return Recording(torch.zeros((rows, 1), dtype=torch.long), tuple(sites), {})

    walk = TreeWalk(lm, tree, children, most, lambda places: (), first_column)
    out: Tensor | None = None
    for rows in rows_of_one_length(lengths, most):
        inside = positions[rows].clamp(max=lengths[rows[0]] - 1)
        recording = Recording(inside, tuple(sites), {})
        _, states = run_rows(lm, [prompts[row] for row in rows], recording=recording)
        found = recording.stacked(lm.device)
        if out is None:
            out = found.new_empty(len(prompts), *found.shape[1:])
        out[rows] = found
        for places, _, node_recording in walk.from_places(
            [Place(row, UNPATCHED) for row in rows], states
        ):
            assert node_recording is not None
            for place, state in zip(places, node_recording.stacked(lm.device), strict=True):
                for column in (positions[place.row] == lengths[place.row] + place.node).nonzero():
                    out[place.row, :, int(column)] = state[:, 0]
    assert out is not None
    return out


def _as_strings(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    positions: Tensor,
    sites: Sequence[Site],
    tree: TokenTree,
) -> Tensor:
    """Record the same states from unpadded strings; a node is read at the end of its own path."""
    whole = sum(len(prompt) for prompt in prompts)

    def states(strings: list[String], tokens: list[list[int]]) -> Tensor:
        batch = pad_prompts([s.tokens for s in strings], lm.tokenizer.pad_token_id, lm.device)
        columns = torch.tensor(tokens, device=lm.device)
        return record_only(lm, batch, empty_tail(batch), columns, sites)

    return states_by_string(
        prompts, positions, tree, lambda strings: equal_lengths(strings, whole), states
    )
