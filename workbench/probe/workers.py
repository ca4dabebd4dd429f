"""Spend torch's thread budget across layers when each layer's matrices are small.

Factorising matrices of a few hundred rows on two BLAS threads was seen to become many times slower
as soon as other programs used the cores. So a few hundred questions are fitted on one thread a
layer, several layers at the same time; thousands of questions are fitted a layer at a time with all
threads inside it. A layer's numbers do not depend on what runs at the same time. Memory holds one
layer of states for each worker.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

from workbench.progress import track

Result = TypeVar("Result")
SMALL_ROWS = 600
MOST_WORKERS = 4


def each_layer(
    work: Callable[[int], Result], layers: int, rows: int, description: str
) -> list[Result]:
    """Return ``[work(0), ..., work(layers - 1)]``, with a progress bar; ``rows`` is the number of
    questions each layer fits.
    """
    threads = torch.get_num_threads()
    workers = min(threads, MOST_WORKERS, layers) if rows <= SMALL_ROWS else 1
    with _threads(1 if rows <= SMALL_ROWS else threads), ThreadPoolExecutor(workers) as pool:
        return list(track(pool.map(work, range(layers)), description, total=layers))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
