"""Keep the states after the layers below an adapter, computed once for every example.

An adapter that begins at layer k cannot change the residual stream below it, so a step may begin
with the states after layer k - 1. The states of each example's own columns are kept (those of the
shared columns before them are kept once), in the dtype of the model's residual stream: width
entries per token. What does not fit into the bound is computed anew each time, and a warning says
so once. Of a streamed model, whose layers below would be read anew for that, it lies in files.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from workbench.models.moved_bytes import moved
from workbench.stream.spill import SpillFolder


class FrozenStates:
    """The states [own columns, width] of numbered examples, at most ``most_bytes`` of them, in the
    computer's main memory.
    """

    def __init__(self, most_bytes: int, spill: SpillFolder | None = None) -> None:
        self.most_bytes, self.spill = most_bytes, spill
        self.bytes = 0
        self.full = False
        self._rows: dict[int, Tensor] = {}

    def __contains__(self, number: int) -> bool:
        return number in self._rows

    def __getitem__(self, number: int) -> Tensor:
        return self._rows[number]

    def keep(self, number: int, states: Tensor) -> None:
        """Keep a copy of ``states`` if there is room."""
        if self.full or number in self._rows:
            return
        size = states.numel() * states.element_size()
        if self.bytes + size > self.most_bytes and self.spill is not None:
            spilled = states.to("cpu", copy=True)
            self.spill.spill([spilled])
            self._rows[number] = spilled
            return
        if self.bytes + size > self.most_bytes:
            self.full = True
            warnings.warn(
                f"States of {len(self._rows)} examples fill the {self.most_bytes / 1e9:.1f} GB of "
                "teach.activation_cache_bytes; the "
                "others are computed anew at each step, which is slower.",
                stacklevel=2,
            )
            return
        self.bytes += size
        self._rows[number] = _copied(states)


def _copied(states: Tensor) -> Tensor:
    """Return a copy in the computer's main memory, never a view of a batch."""
    found = moved(states, torch.device("cpu"))
    return found.clone() if found is states else found


def own_states(states: Tensor, begins: Sequence[int], sizes: Sequence[int]) -> list[Tensor]:
    """Return each row's own columns of ``states`` [rows, columns, width]: views of [size,
    width].
    """
    return [
        row[begin : begin + size] for row, begin, size in zip(states, begins, sizes, strict=True)
    ]


def placed(
    parts: Sequence[Tensor], begins: Sequence[int], columns: int, device: torch.device
) -> Tensor:
    """Return the inverse of :func:`own_states`: [rows, columns, width] with each part at its row's
    beginning and zeros around it.
    """
    out = parts[0].new_zeros(len(parts), columns, parts[0].shape[1])
    for row, part, begin in zip(out, parts, begins, strict=True):
        row[begin : begin + len(part)] = part
    return moved(out, device)
