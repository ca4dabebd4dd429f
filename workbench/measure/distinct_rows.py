"""Count questions that no measure can tell apart as one cell, which makes a bootstrap of a million
answers cheap.

Two answers with the same confidence, the same grade and the same domain are exchangeable for every
measure of this package, so a table of n answers is its distinct *cells* and how often each occurs.
Stated confidences take few values (0-100), so cells are few, and a resample of n questions is a
multinomial draw over cells: the same distribution as drawing rows, not the same numbers. Where
confidences are continuous and many, :func:`grouped_levels` joins neighbours into equal-mass levels
that never straddle an edge of the reliability bins; each level keeps its mean. That is for the
width of intervals only: values are computed exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.measure.edges import bin_index

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Cells:
    """The distinct cells of a table. ``index`` [n]: the cell of each question; ``first`` [c]: one
    question of each cell; ``multiplicity`` [c] as float64.
    """

    index: Codes
    first: Codes
    multiplicity: Floats

    def __post_init__(self) -> None:
        if self.first.shape != self.multiplicity.shape or self.multiplicity.sum() != len(
            self.index
        ):
            raise ValueError(
                f"{len(self.index)} questions do not fill {self.multiplicity.sum():.0f} places in "
                "cells"
            )

    def __len__(self) -> int:
        return len(self.first)


def cells_of(*columns: NDArray[np.generic]) -> Cells:
    """Return the cells of the distinct rows of ``columns`` (each [n], NaN equal to NaN), in rising
    order of the columns' values.
    """
    code = _joined(
        [np.unique(column, return_inverse=True)[1].astype(np.int64) for column in columns]
    )
    _, first, index, count = np.unique(
        code, return_index=True, return_inverse=True, return_counts=True
    )
    return Cells(index.astype(np.int64), first.astype(np.int64), count.astype(np.float64))


def one_cell_each(n: int) -> Cells:
    """Return the cells of ``n`` questions, each in a separate one."""
    rows = np.arange(n, dtype=np.int64)
    return Cells(rows, rows, np.ones(n))


def grouped_levels(confidence: Floats, levels: int, bins: int) -> Floats:
    """Return ``confidence`` [n] (0-1, NaN kept) with each value replaced by the mean of its level.

    About ``levels`` levels of equal mass; equal values share a level, and no level crosses an edge
    of ``bins`` equal-width bins.
    """
    parsed = ~np.isnan(confidence)
    values, inverse, count = np.unique(confidence[parsed], return_inverse=True, return_counts=True)
    if len(values) <= levels:
        return confidence
    rank = (np.cumsum(count) - count / 2) / count.sum()
    mass = np.minimum((rank * levels).astype(np.int64), levels - 1)
    width = bin_index(values, bins)
    level = np.unique(_joined([width, mass]), return_inverse=True)[1]
    mean = np.bincount(level, count * values) / np.bincount(level, count)
    out = np.full(len(confidence), np.nan)
    out[parsed] = mean[level][inverse]
    return out


def _joined(codes: Sequence[Codes]) -> Codes:
    code = codes[0]
    for further in codes[1:]:
        # Renumbering after each column keeps the product of sizes far below 2^63.
        code = np.unique(code * (int(further.max(initial=0)) + 1) + further, return_inverse=True)[
            1
        ].astype(np.int64)
    return code
