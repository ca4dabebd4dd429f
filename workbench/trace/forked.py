"""Run branches from copies of their prompts' states, for families that no mask can pack.

A branch is its prompt up to the first token it patches. So prompts of one length are run once, in
pieces that end where branches part from them. There a copy of the prompt's state goes on under each
branch: rows of one pass, unpadded, each with its own writes. Nodes of the tree continue in the same
way, a token each (:mod:`workbench.trace.tree_walk`). A sweep over layers at the last token then
costs one forward and a token a layer, where the loop of whole strings costs a forward a layer
(:func:`workbench.trace.hooked_loop.loop_branches`, the reference).

Up to :data:`MOST_STEPS` tokens continue one at a time, because the kernels for several compute a
whole block of 64 to 256 tokens however few there are. Where several tokens do not continue exactly
but one does (:mod:`workbench.trace.continuation`), branches that part further from the end than
that are run as whole strings; where not even one token does, all are.

A pass holds at most ``tokens_per_forward`` tokens, those it continues included, and copies of
states of at most :data:`workbench.trace.continuation.STATE_BYTES`; a single row may exceed both.
The prompts' own states, and for every depth of the tree those of one pass, are held besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.models.room import require_room
from workbench.models.unembed import unembed_reduced
from workbench.trace.checks import require_branches, require_one_invocation
from workbench.trace.continuation import Continuation, continuation_of
from workbench.trace.edits import ColumnWrite
from workbench.trace.hooked_loop import loop_branches, write_patch
from workbench.trace.interventions import Branch, Patch, Patched, Readout, patches_of
from workbench.trace.row_states import RowStates, run_rows
from workbench.trace.token_tree import NO_TREE, TokenTree
from workbench.trace.tree_walk import UNPATCHED, Place, TreeWalk
from workbench.trace.unpadded import (
    equal_lengths,
    rows_of_one_length,
    strings_of,
    warn_unpadded,
)

MOST_STEPS = 16
"""The most tokens that continue one at a time."""

Reading = tuple[Sequence[Place], Tensor]
"""Places, and their states [places, width] after the final norm."""


def fork_branches(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    branches: Sequence[Branch],
    readout: Readout,
    *,
    tokens_per_forward: int,
    tree: TokenTree = NO_TREE,
) -> Patched:
    """Return the readouts of :func:`workbench.trace.packed.patch_branches`, with the same
    arguments, each branch continued from a copy of its prompt's state.

    Raises:
        WorkbenchError: as there, and for an adapter on a prompt's last tokens.
    """
    lengths = [len(prompt) for prompt in prompts]
    positions = require_branches(lm, torch.as_tensor(lengths), branches, tree.size)
    require_one_invocation(lm)
    require_room(lm, max(lengths) + max(tree.depths(), default=0))
    found = continuation_of(lm, prompts)
    if found.why_not:
        return loop_branches(
            lm, prompts, branches, readout, tokens_per_forward=tokens_per_forward, tree=tree
        )
    warn_unpadded(lm)
    patched = [patches_of(branch) for branch in branches]  # the check above refused knockouts
    firsts = [0, *accumulate(len(branch) for branch in patched)]
    at = [[row[a:b] for a, b in pairwise(firsts)] for row in positions.tolist()]
    forks = _Forks(lm, prompts, patched, at, tokens_per_forward, tree, found)
    out: Tensor | None = None
    read = torch.zeros((len(prompts), 1 + len(branches), 1 + tree.size), dtype=torch.bool)
    for places, final in forks.readings():
        reading = unembed_reduced(lm, final, readout)
        if out is None:
            out = reading.new_empty((*read.shape, *reading.shape[1:]))
        where = tuple(torch.tensor(places).unbind(1))
        row, branch, node = where[0], where[1] + 1, where[2] + 1
        out[row, branch, node], read[row, branch, node] = reading, True
    assert out is not None
    row, branch, node = (~read).nonzero().unbind(1)  # what a branch leaves as it was
    out[row, branch, node] = out[row, torch.zeros_like(branch), node]
    return Patched(out[:, 0], out[:, 1:]) if tree.size else Patched(out[:, 0, 0], out[:, 1:, 0])


def read_ends(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    *,
    tokens_per_forward: int,
    tree: TokenTree = NO_TREE,
) -> Tensor:
    """Return the states after the final norm at the prompts' ends and at the nodes of ``tree``
    after
    them: [rows, 1 + nodes, width].

    Raises:
        WorkbenchError: for prompts longer than the model reads, and for an adapter on a prompt's
            last tokens.
    """
    require_one_invocation(lm)
    require_room(lm, max(map(len, prompts)) + max(tree.depths(), default=0))
    found = continuation_of(lm, prompts)
    out: Tensor | None = None
    for places, final in _read(lm, prompts, tokens_per_forward, tree, found):
        if out is None:
            out = final.new_empty(len(prompts), 1 + tree.size, final.shape[-1])
        for place, states in zip(places, final, strict=True):
            out[place.row, 1 + place.node] = states
    assert out is not None
    return out


def _read(
    lm: LanguageModel,
    prompts: Sequence[Sequence[int]],
    tokens_per_forward: int,
    tree: TokenTree,
    found: Continuation,
) -> Iterator[Reading]:
    if not found.why_not:
        none: list[list[list[int]]] = [[] for _ in prompts]
        yield from _Forks(lm, prompts, (), none, tokens_per_forward, tree, found).readings()
        return
    for strings in equal_lengths(strings_of(prompts, tree), tokens_per_forward):
        final, _ = run_rows(lm, [string.tokens for string in strings], keep=False)
        yield [Place(s.row, UNPATCHED, s.node) for s in strings], final[:, -1]


@dataclass(frozen=True, eq=False)
class _Forks:
    """The prompts, what is done to them, and where each branch parts from its prompt.

    ``positions`` [rows][branches][patches] are the tokens that the branches patch.
    """

    lm: LanguageModel
    prompts: Sequence[Sequence[int]]
    branches: Sequence[Sequence[Patch]]
    positions: list[list[list[int]]]
    tokens_per_forward: int
    tree: TokenTree
    continuation: Continuation

    def readings(self) -> Iterator[Reading]:
        """Yield the ends of all prompts and nodes, unpatched and under every branch that changes
        them.
        """
        for rows in rows_of_one_length([len(p) for p in self.prompts], self._most_rows):
            yield from self._of_rows(rows)

    def _of_rows(self, rows: Sequence[int]) -> Iterator[Reading]:
        parts: dict[int, list[Place]] = {}
        for row in rows:
            for branch in range(len(self.branches)):
                start = self._start(row, branch)
                if start is not None:
                    parts.setdefault(start, []).append(Place(row, branch))
        ends = [Place(row, UNPATCHED) for row in rows]
        parts.setdefault(max(parts, default=0), []).extend(ends)  # the prompts' own last pass
        states: RowStates | None = None
        at = 0
        for start in sorted(parts):
            if start > at:
                _, states = self._run(ends, at, start, states, keep=True)
                at = start
            yield from self._continued(parts[start], start, states, rows)

    def _continued(
        self, places: Sequence[Place], start: int, states: RowStates | None, rows: Sequence[int]
    ) -> Iterator[Reading]:
        """Yield the ends and nodes of what continues at token ``start`` from the prompts ``rows``,
        which left ``states`` there.
        """
        length = len(self.prompts[rows[0]])
        most = self._most_rows(length)
        for first in range(0, len(places), most):
            here = places[first : first + most]
            own = torch.tensor([rows.index(place.row) for place in here])
            copied = None if states is None else states.select(own)
            final, after = self._run(here, start, length, copied, keep=self.tree.size > 0)
            yield here, final
            yield from self._nodes(here, after)

    def _run(
        self,
        places: Sequence[Place],
        start: int,
        end: int,
        states: RowStates | None,
        *,
        keep: bool,
    ) -> tuple[Tensor, RowStates | None]:
        """Run the prompts' tokens ``start`` to ``end`` after ``states``; return the states [places,
        width] after the final norm at the last, and what they leave.
        """
        alone = states is not None and end - start <= MOST_STEPS
        step = 1 if alone else end - start
        for at in range(start, end, step):
            final, states = run_rows(
                self.lm,
                [self.prompts[place.row][at : at + step] for place in places],
                states,
                keep=keep or at + step < end,
                writes=self._writes(places, [at] * len(places), step),
            )
        return final[:, -1], states

    def _nodes(self, ends: Sequence[Place], states: RowStates | None) -> Iterator[Reading]:
        walk = TreeWalk(
            self.lm,
            self.tree,
            self._children,
            self._most_rows,
            self._node_writes,
            lambda rows: None,
        )
        for places, final, _ in walk.from_places(ends, states):
            yield places, final

    def _children(self, place: Place) -> list[Place]:
        """Return the nodes after a place: under its own branch, and unpatched also under those
        that patch the node and nothing before it.
        """
        found = []
        for node, parent in enumerate(self.tree.parents):
            if parent != place.node:
                continue
            found.append(Place(place.row, place.branch, node))
            if place.branch == UNPATCHED:
                found += [
                    Place(place.row, branch, node)
                    for branch in range(len(self.branches))
                    if self._begins_at(place.row, branch, node)
                ]
        return found

    def _begins_at(self, row: int, branch: int, node: int) -> bool:
        """Return whether ``node`` is the first on its path that the branch patches."""
        length = len(self.prompts[row])
        patched = {at - length for at in self.positions[row][branch]}
        return min(patched) >= 0 and [n for n in self.tree.path(node) if n in patched] == [node]

    def _start(self, row: int, branch: int) -> int | None:
        """Return the token at which a branch parts from its prompt; None for one that patches
        nodes alone.
        """
        start, length = min(self.positions[row][branch]), len(self.prompts[row])
        if start >= length:
            return None
        return start if self.continuation.several or length - start <= MOST_STEPS else 0

    def _most_rows(self, length: int) -> int:
        return self.continuation.most_rows(length, self.tokens_per_forward)

    def _node_writes(self, places: Sequence[Place]) -> list[ColumnWrite]:
        """Return the writes of a pass over one node at each of ``places``."""
        return self._writes(places, [len(self.prompts[p.row]) + p.node for p in places], 1)

    def _writes(
        self, places: Sequence[Place], starts: Sequence[int], columns: int
    ) -> list[ColumnWrite]:
        """Return the writes of a pass over ``columns`` tokens at each of ``places``, from the
        tokens ``starts`` on.
        """
        writes = []
        for number, branch in enumerate(self.branches):
            mine = [index for index, place in enumerate(places) if place.branch == number]
            for order, patch in enumerate(branch if mine else ()):
                here = [
                    (index, column)
                    for index in mine
                    if 0
                    <= (column := self.positions[places[index].row][number][order] - starts[index])
                    < columns
                ]
                if here:
                    writes.append(write_patch(patch, here, [places[i].row for i, _ in here]))
        return writes
