"""Cut rows into batches of similar length, and return what is computed of them in the rows' order.

Rows are sorted by length before they are cut into batches, so a batch pads to its own longest row
and never to the longest row of the data set. The cut depends only on the lengths, the token budget
and the overhead: the same input always gives the same batches. That lets a killed run resume batch
by batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError
from workbench.models.moved_bytes import moved
from workbench.stream.rounds import run_together

Rows = TypeVar("Rows", Tensor, tuple[Tensor, ...], NDArray[np.float64], list[str])
"""The results of a batch, one entry a row: a tensor, several, numbers, or texts."""


def plan_batches(
    lengths: Sequence[int], tokens_per_forward: int, overhead: int = 0
) -> list[NDArray[np.int64]]:
    """Return the row indices of each batch. The longest rows come first, so that a batch too large
    for memory fails at once.

    Args:
        lengths: tokens of each row.
        tokens_per_forward: largest ``rows * (longest row + overhead)`` of a batch; a single row may
            exceed it.
        overhead: tokens added to every row of a batch (packed branches, tokens to be generated).

    Raises:
        WorkbenchError: if ``tokens_per_forward`` is below 1.
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


def map_batches(
    lengths: Sequence[int],
    tokens_per_forward: int,
    compute: Callable[[NDArray[np.int64]], Rows],
    overhead: int = 0,
    *,
    description: str | None = None,
) -> Rows:
    """Compute every batch of rows with similar length, and return the results in the rows' order.

    Args:
        lengths: tokens of each row, at least one.
        tokens_per_forward: as in :func:`plan_batches`, like ``overhead``.
        compute: maps row indices [n] to a tensor [n, ...], several, numbers [n, ...], or n texts.
        description: what a progress bar says; none is shown without.
    """
    batches = plan_batches(lengths, tokens_per_forward, overhead)
    order = np.concatenate(batches)
    parts = run_together([partial(compute, batch) for batch in batches], description)
    back = np.argsort(order)
    if isinstance(parts[0], list):
        texts = [text for part in parts for text in part]
        return [texts[place] for place in back]
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)[back]
    if isinstance(parts[0], Tensor):
        return _in_order(parts, back)
    return tuple(_in_order(each, back) for each in zip(*parts, strict=True))


def _in_order(parts: Sequence[Tensor], back: NDArray[np.int64]) -> Tensor:
    return torch.cat(list(parts))[moved(torch.as_tensor(back), parts[0].device)]
