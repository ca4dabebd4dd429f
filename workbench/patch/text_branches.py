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
from workbench.trace.branches import first_tokens
from workbench.trace.checks import require_branches
from workbench.trace.interventions import (
    Branch,
    Intervention,
    Patch,
    knockouts_of,
    patches_of,
)
from workbench.trace.knockouts import AttentionKnockout

UNPATCHED = -1


@dataclass(frozen=True, eq=False)
class TextBranch:
    """The interventions on one text: ``once`` acts at its tokens alone, ``held`` at its tokens and
    at all that follow them, in the prompt and generated. Where both act, ``once`` comes first.

    What a knockout acts on are its queries; held, it keeps every later token from its keys.
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
        WorkbenchError: for no prompts or branches, an empty branch, a site the model
            lacks, values of another shape, and tokens outside prompt and text.
    """
    if not lengths or min(lengths) == 0:
        raise WorkbenchError("Give at least one prompt, and no empty one.")
    if limit < 1:
        raise WorkbenchError(f"A text has one token or more; the limit is {limit}.")
    every = [(*branch.once, *branch.held) for branch in branches]
    require_branches(lm, torch.as_tensor(lengths), every, limit)


def alike_rows(lengths: Sequence[int], branches: Sequence[TextBranch]) -> list[list[int]]:
    """Return the rows in groups in which every branch changes as many tokens of each prompt."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, length in enumerate(lengths):
        counts: list[int] = []
        for branch in branches:
            for part in (branch.once, branch.held):
                for each in part:
                    first = length - _first(each, row)
                    whole = isinstance(each, AttentionKnockout) or part is branch.once
                    counts.append(max(0, min(first, 1) if whole else first))
        groups.setdefault(tuple(counts), []).append(row)
    return list(groups.values())


def _first(each: Intervention, row: int) -> int:
    """Return the first token of a row that an intervention acts on."""
    tokens = each.queries if isinstance(each, AttentionKnockout) else each.positions
    return int(tokens[row].min())


def prompt_branch(
    branch: TextBranch, rows: Sequence[int], lengths: Sequence[int]
) -> list[Intervention]:
    """Return what a branch does to the prompts ``rows``, which are alike: interventions on those
    rows alone, held ones at each of their tokens.
    """
    return [*_within(branch.once, rows, lengths), *_within(branch.held, rows, lengths, held=True)]


def _within(
    part: Branch, rows: Sequence[int], lengths: Sequence[int], held: bool = False
) -> Iterator[Intervention]:
    chosen = torch.as_tensor(list(rows))
    for each in part:
        mine = each.of_rows(chosen)
        count = max(0, lengths[rows[0]] - _first(mine, 0))
        if isinstance(mine, Patch):
            for step in range(count if held else min(count, 1)):
                yield replace(mine, positions=mine.positions.cpu() + step)
        elif count:
            yield _knockout_within(mine, [lengths[row] for row in rows], held)


def _knockout_within(
    knockout: AttentionKnockout, lengths: Sequence[int], held: bool
) -> AttentionKnockout:
    """Return a knockout of those of its queries that are in the prompts; a row with fewer repeats
    its last.
    """
    queries = []
    for tokens, length in zip(knockout.queries.tolist(), lengths, strict=True):
        inside = [token for token in sorted(tokens) if token < length]
        queries.append([*range(inside[0], length)] if held else inside)
    longest = max(map(len, queries))
    padded = [[*row, *[row[-1]] * (longest - len(row))] for row in queries]
    return replace(knockout, queries=torch.tensor(padded))


def first_token(branch: Sequence[Intervention]) -> Tensor:
    """Return the first token of each row that a branch changes, [rows]."""
    return first_tokens([branch], positions_of([branch]))[:, 0]


def positions_of(branches: Sequence[Sequence[Intervention]]) -> Tensor:
    """Return the positions of all patches, [rows, patches]."""
    patches = [patch for branch in branches for patch in patches_of(branch)]
    if not patches:
        (first, *_) = knockouts_of(branches[0])
        return torch.zeros((first.rows, 0), dtype=torch.long)
    return torch.stack([patch.positions.cpu() for patch in patches], dim=1)
