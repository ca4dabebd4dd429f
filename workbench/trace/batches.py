"""Batches of rows with similar length.

Rows are sorted by length before they are cut into batches, so a batch pads to its own longest row
and never to the longest row of the data set. The cut depends only on the lengths, the token budget
and the overhead: the same input always gives the same batches, which is what lets a killed run
resume batch by batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError


def plan_batches(
    lengths: Sequence[int], tokens_per_forward: int, overhead: int = 0
) -> list[NDArray[np.int64]]:
    """Row indices of each batch, longest rows first so that a batch too large for memory fails at
    once.

    Args:
        lengths: tokens of each row.
        tokens_per_forward: largest ``rows * (longest row + overhead)`` of a batch; a single row may
            exceed it.
        overhead: tokens added to every row of a batch (packed branches, tokens to be generated).
    """
    if tokens_per_forward < 1:
        raise WorkbenchError(f"The token budget must be positive, it is {tokens_per_forward}.")
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        width = int(lengths[int(order[start])]) + overhead
        rows = max(1, tokens_per_forward // max(1, width))
        batches.append(order[start : start + rows])
        start += rows
    return batches
