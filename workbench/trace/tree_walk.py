"""Walk a tree of tokens from the states of strings that end where it begins, one token a place.

A place is a node after one string: a row, alone or under a branch. Every place continues a copy of
what its parent left, so a node costs one token wherever the tree is read, and places of one depth
share a pass. The walk goes down a part of a level before it takes the next part. So the states of
one part are held for each depth, never those of a whole level.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from workbench.models import LanguageModel
from workbench.trace.edits import ColumnWrite, Recording
from workbench.trace.row_states import RowStates, run_rows
from workbench.trace.token_tree import TokenTree

UNPATCHED = -1


class Place(NamedTuple):
    """The end of a string (``node`` -1) or a node after it: of the prompt ``row`` under ``branch``
    (:data:`UNPATCHED`: under none).
    """

    row: int
    branch: int
    node: int = -1


@dataclass(frozen=True, eq=False)
class TreeWalk:
    """What a walk computes at the places it comes to.

    Attributes:
        children: the places after a place.
        most_rows: how many strings of ``length`` tokens a pass may hold.
        writes: the states to write into a pass over one token at each of some places.
        recording: what to record in such a pass, or None.
    """

    lm: LanguageModel
    tree: TokenTree
    children: Callable[[Place], Sequence[Place]]
    most_rows: Callable[[int], int]
    writes: Callable[[Sequence[Place]], Sequence[ColumnWrite]]
    recording: Callable[[int], Recording | None]

    def from_places(
        self, places: Sequence[Place], states: RowStates | None
    ) -> Iterator[tuple[list[Place], Tensor, Recording | None]]:
        """Yield all places below ``places``, which left ``states`` (None for places that nothing is
        below): places, their states [places, width] after the final norm, and what was recorded.
        """
        below = [(i, child) for i, place in enumerate(places) for child in self.children(place)]
        if states is None or not below:
            return
        most = self.most_rows(states.length + 1)
        for start in range(0, len(below), most):
            parents, here = zip(*below[start : start + most], strict=True)
            recording = self.recording(len(here))
            final, after = run_rows(
                self.lm,
                [[self.tree.tokens[place.node]] for place in here],
                states.select(torch.tensor(parents)),
                recording=recording,
                writes=self.writes(here),
            )
            yield list(here), final[:, -1], recording
            yield from self.from_places(here, after)
