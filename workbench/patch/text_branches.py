"""Describe what is done to a text while a model writes it, and say which tokens each patch acts on.

A text branch acts on the tokens of a prompt and on those that are generated after it. Positions
count from the prompt's first token; the prompt's length names the first generated token, whatever
token that turns out to be. So a direction that is added at every token from which a text is chosen
is held from the prompt's last token on, and a swapped state acts once.

A patch at a generated token acts on what comes after it: the first generated token is chosen at the
prompt's last token.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models import LanguageModel
from workbench.trace.checks import require_branches
from workbench.trace.edits import ColumnWrite
from workbench.trace.hooked_loop import write_patch
from workbench.trace.interventions import Branch, Patch

UNPATCHED = -1


@dataclass(frozen=True, eq=False)
class TextBranch:
    """The patches of one text: ``once`` acts at its tokens alone, ``held`` at its tokens and at all
    that follow them, in the prompt and generated. Where both act, ``once`` comes first.
    """

    once: Branch = ()
    held: Branch = ()


@dataclass(frozen=True, order=True)
class Entry:
    """One text to write: of the prompt ``row`` under ``branch`` (:data:`UNPATCHED`: under none),
    the ``sample``-th.
    """

    branch: int
    row: int
    sample: int = 0


def as_text_branches(branches: Sequence[TextBranch | Branch]) -> list[TextBranch]:
    """Return text branches; sets of patches act once."""
    return [
        branch if isinstance(branch, TextBranch) else TextBranch(tuple(branch))
        for branch in branches
    ]


def require_text_branches(
    lm: LanguageModel, lengths: Sequence[int], branches: Sequence[TextBranch], limit: int
) -> None:
    """Refuse branches that do not fit the model or prompts of ``lengths`` [rows] with ``limit``
    generated tokens.

    Raises:
        WorkbenchError: for no prompts or branches, a branch without patches, a site the model
            lacks, values of another shape, and tokens outside prompt and text.
    """
    if not lengths or min(lengths) == 0:
        raise WorkbenchError("Give at least one prompt, and no empty one.")
    if limit < 1:
        raise WorkbenchError(f"A text has one token or more; the limit is {limit}.")
    every = [(*branch.once, *branch.held) for branch in branches]
    require_branches(lm, torch.as_tensor(lengths), every, limit)


def alike_rows(lengths: Sequence[int], branches: Sequence[TextBranch]) -> list[list[int]]:
    """Return the rows in groups in which every branch patches as many tokens of each prompt."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, length in enumerate(lengths):
        counts = tuple(
            min(max(0, length - int(patch.positions[row])), 1 if once else length)
            for branch in branches
            for once, part in ((True, branch.once), (False, branch.held))
            for patch in part
        )
        groups.setdefault(counts, []).append(row)
    return list(groups.values())


def prompt_patches(branch: TextBranch, rows: Sequence[int], lengths: Sequence[int]) -> list[Patch]:
    """Return what a branch does to the prompts ``rows``, which are alike: patches of those rows
    alone, a held one as one for each of its tokens.
    """
    return [*_within(branch.once, rows, lengths, once=True), *_within(branch.held, rows, lengths)]


def _within(
    patches: Branch, rows: Sequence[int], lengths: Sequence[int], once: bool = False
) -> Iterator[Patch]:
    chosen = torch.as_tensor(list(rows))
    for patch in patches:
        mine = patch.of_rows(chosen)
        count = max(0, lengths[rows[0]] - int(mine.positions[0]))
        for step in range(min(count, 1) if once else count):
            yield replace(mine, positions=mine.positions.cpu() + step)


class GeneratedWrites:
    """What is written into the passes over generated tokens of some ``entries``."""

    def __init__(
        self, branches: Sequence[TextBranch], lengths: Sequence[int], entries: Sequence[Entry]
    ) -> None:
        self.rows = torch.tensor([entry.row for entry in entries])
        members: dict[int, list[int]] = {}
        for place, entry in enumerate(entries):
            members.setdefault(entry.branch, []).append(place)
        ends = torch.as_tensor(list(lengths))
        self.parts: list[tuple[Patch, bool, Tensor, Tensor]] = []
        for number, places in members.items():
            branch = TextBranch() if number == UNPATCHED else branches[number]
            mine = torch.tensor(places)
            rows = self.rows[mine]
            for held, patches in ((False, branch.once), (True, branch.held)):
                for patch in patches:
                    first = patch.positions.cpu()[rows] - ends[rows]
                    if held or bool((first >= 0).any()):
                        self.parts.append((patch, held, mine, first))

    def __call__(self, live: Tensor, step: int) -> list[ColumnWrite]:
        """Return the writes of a pass over generated token ``step`` (0 is the first) of the entries
        numbered ``live``, in that order.
        """
        if not self.parts:
            return []
        place = torch.full((len(self.rows),), -1)
        place[live.cpu()] = torch.arange(len(live))
        writes = []
        for patch, held, members, first in self.parts:
            acts = (first <= step if held else first == step) & (place[members] >= 0)
            chosen = members[acts]
            if len(chosen):
                here = [(at, 0) for at in place[chosen].tolist()]
                writes.append(write_patch(patch, here, self.rows[chosen].tolist()))
        return writes
