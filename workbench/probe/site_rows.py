"""Go through the states of one layer and position, in memory where they fit, else block by block.

All of a primal fit's work on the states is two products: with weights, to log-odds, and with
residuals, to gradients. Both are taken for many problems at once, so a pass over the states serves
them all. States are centred and scaled by all their rows first, in float32; without that, a feature
of large mean would drown the others in rounding. What a fit is standardised by are the statistics
of its own training rows, :meth:`SiteRows.moments`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workbench.arrays import Rows
from workbench.probe.logistic import CONSTANT

Blocks = Callable[[int], Iterator[tuple[Rows, Tensor]]]
"""A function from the most rows of a block to the blocks: the rows' numbers and their states [rows,
width], each row once, in the same order every time.
"""
FEWEST_BLOCK_ROWS = 64
PRECISE_ROWS = 64
"""Rows that are taken in float64 at once."""
CONSTANT_IN_SPLIT = 1e-6
"""A feature counts as constant in a split that varies by less than this share of all rows'."""
COPIES = 4
"""What a block takes beside itself: as it was read, in float32, and what products put beside it."""


def bytes_of_block(width: int, rows: int = FEWEST_BLOCK_ROWS) -> int:
    """Return about what a block of rows takes."""
    return 4 * rows * width * COPIES


def bytes_of_rows(rows: int, width: int) -> int:
    """Return about what all rows take where they are held, with the block they are read by."""
    return 4 * rows * width + bytes_of_block(width, _small(rows))


def _small(rows: int) -> int:
    return max(FEWEST_BLOCK_ROWS, rows // 8 + 1)


@dataclass(frozen=True, eq=False)
class SiteRows:
    """The states of one site.

    Attributes:
        rows, width: how many there are, and their features.
        mean, scale: [width] of all rows, float64; a constant feature has scale 1.
        sample: [sampled, width] some rows, evenly spread, standardised.
        held: [rows, width] all rows, standardised, where they fit into memory.
        read: the blocks where they do not.
        block_rows: most rows of a block.
    """

    rows: int
    width: int
    mean: Tensor
    scale: Tensor
    sample: Tensor
    held: Tensor | None
    read: Blocks
    block_rows: int

    def blocks(self) -> Iterator[tuple[Rows | slice, Tensor]]:
        """Yield the rows' numbers and their standardised states [rows, width], float32."""
        if self.held is not None:
            yield slice(None), self.held
            return
        mean, factor = self.mean.float(), (1 / self.scale).float()
        for at, states in self.read(self.block_rows):
            yield at, states.to(torch.float32, copy=True).sub_(mean).mul_(factor)

    def times(self, weights: Tensor) -> Tensor:
        """Return ``weights`` [problems, width] on every row: [problems, rows] float64."""
        out = torch.empty((len(weights), self.rows), dtype=torch.float64)
        weights = weights.float()
        for at, states in self.blocks():
            out[:, at] = (weights @ states.mT).double()
        return out

    def sums(self, residuals: Tensor) -> Tensor:
        """Return the sum of all rows, each times its residual: [problems, rows] -> [problems,
        width] float32.
        """
        out = torch.zeros((len(residuals), self.width))
        for at, states in self.blocks():
            out.addmm_(residuals[:, at].float(), states)
        return out

    def moments(self, splits: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation [splits, width] float64 of the standardised states
        over the rows of each split [splits, rows]; a feature that is constant there has 1.
        """
        share = splits.double() / splits.sum(dim=1, keepdim=True)
        first, second = (
            torch.zeros((len(splits), self.width), dtype=torch.float64) for _ in range(2)
        )
        for at, states in self.blocks():
            parts = zip(
                share[:, at].split(PRECISE_ROWS, 1), states.split(PRECISE_ROWS), strict=True
            )
            for part, few in parts:
                precise = few.double()
                first.addmm_(part, precise)
                second.addmm_(part, precise.square_())
        scale = (second - first.square()).clamp(min=0).sqrt()
        return first, torch.where(scale <= CONSTANT_IN_SPLIT, torch.ones_like(scale), scale)


def open_rows(read: Blocks, rows: int, width: int, memory_bytes: int, sampled: int) -> SiteRows:
    """Read the states once for their statistics, and keep them where ``memory_bytes`` has room.

    Args:
        sampled: rows of the sample, at most all.
    """
    fits = bytes_of_rows(rows, width) <= memory_bytes
    most = memory_bytes // bytes_of_block(width, 1)
    block = _small(rows) if fits else max(FEWEST_BLOCK_ROWS, min(rows, most))
    held = torch.empty((rows, width)) if fits else None
    chosen = np.unique(np.linspace(0, rows - 1, min(sampled, rows)).round().astype(np.int64))
    sample = torch.empty((len(chosen), width))
    place = np.full(rows, -1)
    place[chosen] = np.arange(len(chosen))
    count = 0
    mean, spread = (torch.zeros(width, dtype=torch.float64) for _ in range(2))
    for at, states in read(block):
        part = states.float()
        if held is not None:
            held[at] = part
        wanted = place[at] >= 0
        sample[place[at][wanted]] = part[wanted]
        count, mean, spread = _joined(count, mean, spread, part)
    scale = (spread / count) ** 0.5
    constant = scale <= CONSTANT * mean.abs()
    scale = torch.where(constant, torch.ones_like(scale), scale)
    for array in (sample, held):
        if array is not None:
            array.sub_(mean.float()).mul_((1 / scale).float())
    return SiteRows(rows, width, mean, scale, sample, held, read, block)


def _joined(count: int, mean: Tensor, spread: Tensor, states: Tensor) -> tuple[int, Tensor, Tensor]:
    """Return count, mean and sum of squared deviations of the rows so far and those of a block
    (Chan's rule).
    """
    more = len(states)
    centre = states.mean(dim=0, dtype=torch.float64)
    around = (states - centre.float()).square_().sum(dim=0, dtype=torch.float64)
    around -= more * (centre - centre.float().double()).square()
    apart, total = centre - mean, count + more
    return (
        total,
        mean + apart * (more / total),
        spread + around.clamp(min=0) + apart.square() * (count * more / total),
    )
