"""Choose the tokens that a grid of patches writes to, and the random other tokens of its control.

A place is a token of every prompt and of its donor. One at the end of every prompt and donor
includes the tokens that are read after it, so that a patch after the last layer gives exactly the
donor's reading. The control draws, for every place, one more token of the prompt and one of its
donor, the same index where both have as many.

Random tokens are drawn from all that are not patched; they may be the very ones that the model
reads its answer from.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.api.positions import Places
from workbench.api.prompts import PromptTokens


@dataclass(frozen=True, eq=False)
class PatchedTokens:
    """The tokens of prompts that are patched, and of their donors.

    Attributes:
        base: [rows, n] tokens of each prompt; from its length on they name nodes after it.
        donor: [rows, n] tokens of its donor.
        groups: the columns of both that belong to each place.
    """

    base: Tensor
    donor: Tensor
    groups: tuple[tuple[int, ...], ...]


def patched_tokens(
    places: Places, prompts: PromptTokens, donor: PromptTokens | None, nodes: int
) -> PatchedTokens:
    """Return the tokens of all places.

    Args:
        nodes: tokens read after each prompt, which are patched where the donor is a run.
    """
    groups = [(index,) for index in range(len(places.labels))]
    ours, theirs = places.base, places.donor
    if not nodes or donor is None:
        return PatchedTokens(ours, theirs, tuple(groups))
    lengths, donor_lengths = torch.tensor(prompts.lengths), torch.tensor(donor.lengths)
    numbers = torch.arange(nodes)
    for place in range(len(places.labels)):
        at_end = torch.equal(places.base[:, place], lengths - 1) and torch.equal(
            places.donor[:, place], donor_lengths - 1
        )
        if at_end:
            start = ours.shape[1]
            groups[place] = (place, *range(start, start + nodes))
            ours = torch.cat([ours, lengths[:, None] + numbers], dim=1)
            theirs = torch.cat([theirs, donor_lengths[:, None] + numbers], dim=1)
    return PatchedTokens(ours, theirs, tuple(groups))


def random_tokens(
    places: Places, prompts: PromptTokens, donor: PromptTokens | None, seed: int
) -> tuple[Tensor, Tensor] | None:
    """Draw as many random tokens of every prompt as there are places, none of them patched, and as
    many of its donor; return None where a prompt has too few, with a warning if others have enough.
    """
    rng = np.random.default_rng(seed)
    count = len(places.labels)
    there = prompts.lengths if donor is None else donor.lengths
    free = []
    for row, (ours, theirs) in enumerate(zip(prompts.lengths, there, strict=True)):
        mine = {*range(ours)} - {*places.base[row].tolist()}
        donors = {*range(theirs)} - {*places.donor[row].tolist()}
        free.append((mine & donors,) if ours == theirs else (mine, donors))
    short = [row for row, sides in enumerate(free) if min(map(len, sides)) < count]
    if short and len(short) < len(prompts):
        warnings.warn(
            f"The control at a random position is left out: {len(short)} of {len(prompts)} "
            f"prompts, the first of them number {short[0]}, have no {count} tokens besides those "
            "patched.",
            stacklevel=2,
        )
    if short:
        return None
    drawn = [
        [rng.choice(sorted(tokens), count, replace=False).tolist() for tokens in sides]
        for sides in free
    ]
    return torch.tensor([row[0] for row in drawn]), torch.tensor([row[-1] for row in drawn])
