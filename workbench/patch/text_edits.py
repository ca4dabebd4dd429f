"""Say what is written and hidden in the passes over generated tokens, a token a text a step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from workbench.patch.text_branches import UNPATCHED, Entry, TextBranch
from workbench.trace.edge_cuts import EdgeCut
from workbench.trace.edits import ColumnWrite
from workbench.trace.hooked_loop import write_patch
from workbench.trace.interventions import Intervention, Patch
from workbench.trace.knockouts import AttentionKnockout

_Part = tuple[Intervention, bool, Tensor, Tensor]
"""An intervention, whether it is held, the entries it acts on, and the generated tokens of each at
which it does [entries, n], of which a held one has the first; below 0 they are the prompt's.
"""


class GeneratedEdits:
    """What is done to the generated tokens of some ``entries``. ``columns`` are those of the
    prompts, padding included, which generated tokens follow.
    """

    def __init__(
        self,
        branches: Sequence[TextBranch],
        lengths: Sequence[int],
        entries: Sequence[Entry],
        columns: int = 0,
    ) -> None:
        self.rows = torch.tensor([entry.row for entry in entries])
        self.ends = torch.as_tensor(list(lengths))[self.rows]
        self.columns = columns
        members: dict[int, list[int]] = {}
        for place, entry in enumerate(entries):
            members.setdefault(entry.branch, []).append(place)
        parts = [
            (each, held, torch.tensor(places))
            for number, places in members.items()
            if number != UNPATCHED
            for held, part in ((False, branches[number].once), (True, branches[number].held))
            for each in part
        ]
        self.patches: list[_Part] = []
        self.knockouts: list[_Part] = []
        for each, held, mine in parts:
            knockout = isinstance(each, AttentionKnockout)
            tokens = (
                each.queries if isinstance(each, AttentionKnockout) else each.positions[:, None]
            )
            at = tokens.cpu()[self.rows[mine]] - self.ends[mine, None]
            at = at.amin(dim=1, keepdim=True) if held else at
            if held or bool((at >= 0).any()):
                (self.knockouts if knockout else self.patches).append((each, held, mine, at))

    def writes(self, live: Tensor, step: int) -> list[ColumnWrite]:
        """Return the writes of a pass over generated token ``step`` (0 is the first) of the entries
        numbered ``live``, in that order.
        """
        writes = []
        for patch, chosen, places in self._acting(self.patches, live, step):
            assert isinstance(patch, Patch)
            here = [(place, 0) for place in places.tolist()]
            writes.append(write_patch(patch, here, self.rows[chosen].tolist()))
        return writes

    def cuts(self, live: Tensor, step: int) -> list[EdgeCut]:
        """Return the cuts of that pass."""
        cuts = []
        for knockout, chosen, places in self._acting(self.knockouts, live, step):
            assert isinstance(knockout, AttentionKnockout)
            keys = knockout.keys.cpu()[self.rows[chosen]].long()
            query = torch.full((len(chosen), 1), self.columns + step)
            # Prompts are padded on the left, so that all end at the same column.
            at = keys + self.columns - self.ends[chosen, None]
            cuts.append(EdgeCut(knockout.layers, knockout.heads, query, at, places))
        return cuts

    def _acting(
        self, parts: Sequence[_Part], live: Tensor, step: int
    ) -> Iterator[tuple[Intervention, Tensor, Tensor]]:
        """Yield the interventions that act at a step, the entries, and their places in the pass."""
        if not parts:
            return
        place = torch.full((len(self.rows),), -1)
        place[live.cpu()] = torch.arange(len(live))
        for each, held, members, at in parts:
            acts = (at <= step if held else at == step).any(dim=1) & (place[members] >= 0)
            chosen = members[acts]
            if len(chosen):
                yield each, chosen, place[chosen]
