"""Plan how the sites of a probe are fitted within a bound of memory, and spend torch's threads on
it.

Up to GRAM_ROWS questions a site is fitted on Gram matrices, whose factors grow with the third power
of the rows; beyond, or where they do not fit into the bound, in the space of features, with all
training sets and C of a site in one pass over its states. A site's states are kept in memory where
the bound has room for them, else read again in every pass.

Factorising matrices of a few hundred rows on two BLAS threads was seen to become many times slower
as soon as other programs used the cores. So layers are fitted at the same time, each on its share
of the threads, as many as the bound has room for. A layer's numbers do not depend on what runs at
the same time. The bound is on what fitting takes, beyond the states that the caller holds and the
probe that is returned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from workbench.errors import WorkbenchError
from workbench.probe.primal import LEADING, SAMPLED, bytes_of_problem
from workbench.probe.site_rows import bytes_of_block, bytes_of_rows
from workbench.progress import track

Result = TypeVar("Result")
GRAM_ROWS = 600
MOST_WORKERS = 4


@dataclass(frozen=True)
class Size:
    """What is fitted: so many rows, layers, positions and features, and a site's problems: its
    training sets, C, and label vectors.
    """

    rows: int
    layers: int
    positions: int
    width: int
    training_sets: int
    problems: int


@dataclass(frozen=True)
class FitPlan:
    """How sites are fitted.

    Attributes:
        gram: on Gram matrices, else in the space of features.
        workers: layers at the same time.
        positions: of a layer at the same time, on Gram matrices.
        problems: of a site at the same time, in the space of features.
        rows_bytes: what the states of one site may take in the space of features.
    """

    gram: bool
    workers: int
    positions: int = 1
    problems: int = 1
    rows_bytes: int = 0


def plan_fits(size: Size, memory_bytes: int) -> FitPlan:
    """Plan the fits of every site.

    Raises:
        WorkbenchError: where the bound is too small for one problem of one site.
    """
    most = min(torch.get_num_threads(), MOST_WORKERS, size.layers)
    if size.rows <= GRAM_ROWS:
        for positions in (size.positions, 1):
            for workers in range(most, 0, -1):
                if workers * _gram_bytes(size, positions) <= memory_bytes:
                    return FitPlan(True, workers, positions)
    for workers in (most, 1):
        plan = _primal_plan(size, memory_bytes, workers)
        held = plan.rows_bytes >= bytes_of_rows(size.rows, size.width)
        if held and plan.problems == size.problems:
            break
    least = bytes_of_block(size.width)
    if plan.rows_bytes < least:
        needed = memory_bytes - plan.rows_bytes + least
        raise WorkbenchError(
            f"Probes of {size.rows} questions at width {size.width} do not fit into "
            f"probe.memory_bytes = {memory_bytes}; give them at least {needed}."
        )
    return plan


def bytes_of_fits(size: Size, memory_bytes: int) -> int:
    """Return about what the fits that are planned take at the same time.

    Raises:
        WorkbenchError: where the bound is too small.
    """
    plan = plan_fits(size, memory_bytes)
    if plan.gram:
        return plan.workers * _gram_bytes(size, plan.positions)
    problems = plan.problems * bytes_of_problem(size.rows, size.width)
    rows = min(plan.rows_bytes, bytes_of_rows(size.rows, size.width))
    return plan.workers * (_fixed_bytes(size) + problems + rows)


def _gram_bytes(size: Size, positions: int) -> int:
    """Return about what fitting ``positions`` of a layer on Gram matrices takes."""
    slab = 4 * size.rows * size.positions * size.width
    copies = 3 * 8 * size.rows * size.width
    strengths = max(1, size.problems // size.training_sets)
    factors = (2 * 8 + 12 * strengths + 8 * size.training_sets // 4) * size.rows**2
    return slab + positions * (copies + factors)


def _primal_plan(size: Size, memory_bytes: int, workers: int) -> FitPlan:
    """Return the plan in the space of features, half of a worker's memory for problems at most."""
    share = memory_bytes // workers - _fixed_bytes(size)
    each = bytes_of_problem(size.rows, size.width)
    problems = min(size.problems, max(1, share // 2 // each))
    return FitPlan(False, workers, 1, problems, share - problems * each)


def _fixed_bytes(size: Size) -> int:
    """Return what a site takes in the space of features besides its states and problems."""
    moments = 5 * 8 * size.training_sets * size.width
    results = 2 * 8 * size.problems * (size.rows + size.width)
    return 4 * (SAMPLED + 2 * LEADING) * size.width + moments + results


def each_layer(
    work: Callable[[int], Result], layers: int, workers: int, description: str
) -> list[Result]:
    """Return ``[work(0), ..., work(layers - 1)]``, with a progress bar, ``workers`` at the same
    time.
    """
    threads = max(1, torch.get_num_threads() // workers)
    with _threads(threads), ThreadPoolExecutor(workers) as pool:
        return list(track(pool.map(work, range(layers)), description, total=layers))


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
