"""Run a streamed pass in a process of its own whose address space is limited, and return its
largest memory.

Everything the process maps counts: weights in their files, states, scratch space of kernels, stacks
of threads. The limit is set once the libraries are loaded and their threads run, at ``SHARE`` of
the weights and the stated bound of waiting states above what is mapped then; beyond it an
allocation fails. The C library is told to map no more than what is used, since holes in its heap
and heaps kept for threads count as well.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import torch

from workbench.bench.stream_checkpoint import StreamShape, open_streamed_shape
from workbench.compat import map_blocks
from workbench.pipeline.memory import peak_memory

SHARE = 0.35
WAITING_BYTES = 64 * 2**20
Groups = Sequence[Sequence[Sequence[int]]]


def measure_apart(folder: Path, shape: StreamShape, groups: Groups, weights: int) -> dict[str, Any]:
    """Return what :func:`measure_within` finds in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as apart:
        return apart.submit(measure_within, folder, shape, groups, weights).result()


def measure_within(
    folder: Path, shape: StreamShape, groups: Groups, weights: int
) -> dict[str, Any]:
    """Limit this process, run the pass, and return its largest resident memory above what it had
    before, over the bytes of the weights, and what was read and spilled.
    """
    from workbench.bench.stream import pass_over

    map_blocks(2**20)
    _start_threads()
    before = psutil.Process().memory_info()
    allowed = int(SHARE * weights) + WAITING_BYTES
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (before.vms + allowed, hard))
    lm, stream = open_streamed_shape(folder, shape, WAITING_BYTES, torch.device("cpu"))
    read = stream.weights.counts.bytes_read
    pass_over(lm, groups)
    peak = peak_memory()
    of_layers = sum(map(stream.weights.nbytes, range(shape.layers)))
    return {
        "memory.limit_over_weights": allowed / weights,
        "memory.peak_over_weights": (peak - before.rss) / weights,
        "memory.read_over_layers": (stream.weights.counts.bytes_read - read) / of_layers,
        "memory.spilled_bytes": stream.spill.bytes_written,
    }


def _start_threads() -> None:
    """Have the kernels' threads started, whose stacks count."""
    square = torch.ones(1024, 1024)
    torch.mm(square, square).exp_().sum()
