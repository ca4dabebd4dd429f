"""Values to write other than another run's states: nothing, the mean, a direction, a random vector
of matched length.

All take and return states whose first axis is the row (the question), in the layout of
:func:`workbench.trace.record`, so they can take the place of donors. What a knock-out shows depends
on the value: zeros may be far from what the model ever computes there, the mean keeps what all
questions share, and a random vector shows what any change of that length does.
"""

from __future__ import annotations

import torch
from torch import Tensor

from workbench.errors import WorkbenchError


def zeros(states: Tensor) -> Tensor:
    """Return zeros in the layout of ``states``."""
    return torch.zeros_like(states)


def mean_of_others(states: Tensor) -> Tensor:
    """Return, for each row, the mean over all other rows: [rows, ...].

    A row never contributes to its own replacement.

    Raises:
        WorkbenchError: for fewer than two rows.
    """
    rows = len(states)
    if rows < 2:
        raise WorkbenchError("A mean over other questions needs at least two questions.")
    wide = states.double()
    return ((wide.sum(dim=0) - wide) / (rows - 1)).to(states.dtype)


def mean_of_rows(states: Tensor) -> Tensor:
    """Return the mean over all rows, the same for each: [rows, ...]."""
    return states.double().mean(dim=0).to(states.dtype).expand_as(states).clone()


def matched_noise(base: Tensor, donor: Tensor, seed: int) -> Tensor:
    """Return ``base`` [..., width] plus a random direction as long as the difference to ``donor``,
    for each entry of the other axes.
    """
    difference = donor - base
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(difference.shape, generator=generator).to(difference)
    return base + noise / noise.norm(dim=-1, keepdim=True) * difference.norm(dim=-1, keepdim=True)


def along(direction: Tensor, length: float, rows: int) -> Tensor:
    """Return ``direction`` [..., width] scaled to ``length`` on its last axis, for each row: [rows,
    ..., width].

    The result is to be added.

    Raises:
        WorkbenchError: for a direction of length zero.
    """
    norm = direction.norm(dim=-1, keepdim=True)
    if not bool((norm > 0).all()):
        raise WorkbenchError("A direction of length zero points nowhere.")
    return (direction / norm * length).expand(rows, *direction.shape).clone()
