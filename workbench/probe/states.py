"""Read residual-stream states as probes take them, [questions, layers, positions, width], a layer
at a time.

The array may be far larger than memory (a memory map, or shards on disk): only one layer of it is
ever copied, and of many questions only one position, or a block of its rows. States are checked for
finite values as they are read, because a NaN would spread silently through every fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.arrays import Floats, Rows
from workbench.errors import WorkbenchError
from workbench.states.recorded import RecordedStates

States = NDArray[np.floating] | Tensor | RecordedStates
SCORED_ROWS = 1024
"""Rows that are scored at once."""


def check_states(states: States) -> tuple[int, int, int, int]:
    """Return the shape (questions, layers, positions, width) of ``states``.

    Raises:
        WorkbenchError: when there are not four axes or one is empty.
    """
    if states.ndim != 4 or 0 in states.shape:
        raise WorkbenchError(
            f"states have shape {tuple(states.shape)}; probes need [questions, layers, positions, "
            "width], none empty"
        )
    n, layers, positions, width = states.shape
    return n, layers, positions, width


def layer_states(states: States, layer: int) -> Tensor:
    """Return the states of one layer [questions, positions, width] on the CPU.

    Raises:
        WorkbenchError: for a value that is not finite; it names the first.
    """
    slab = _tensor(states[:, layer])
    finite = torch.isfinite(slab)
    if not bool(finite.all()):
        row, position, feature = (int(i) for i in (~finite).nonzero()[0])
        raise _not_finite(row, layer, position, feature, slab[row, position, feature].item())
    return slab


def site_reader(
    states: States, layer: int, position: int
) -> Callable[[int], Iterator[tuple[Rows, Tensor]]]:
    """Return a function from the most rows of a block to the blocks of one layer and position: the
    questions' numbers and their states [rows, width] on the CPU, each question once, in the same
    order every time.

    Raises:
        WorkbenchError: as blocks are read, for a value that is not finite; it names the first.
    """

    def read(most_rows: int) -> Iterator[tuple[Rows, Tensor]]:
        for rows, block in _blocks(states, layer, position, most_rows):
            finite = torch.isfinite(block)
            if not bool(finite.all()):
                row, feature = (int(i) for i in (~finite).nonzero()[0])
                value = block[row, feature].item()
                raise _not_finite(int(rows[row]), layer, position, feature, value)
            yield rows, block

    return read


def score_site(
    states: States, layer: int, position: int, weights: Floats, intercept: Floats
) -> Floats:
    """Return the log-odds [b, n] that ``weights`` [b, width] and ``intercept`` [b] give the states
    of one layer and position.
    """
    scores = np.empty((len(weights), states.shape[0]))
    direction = torch.from_numpy(np.ascontiguousarray(weights))
    for rows, block in site_reader(states, layer, position)(SCORED_ROWS):
        scores[:, rows] = (direction @ block.to(torch.float64).mT).numpy()
    return scores + intercept[:, None]


def _blocks(
    states: States, layer: int, position: int, most_rows: int
) -> Iterator[tuple[Rows, Tensor]]:
    if isinstance(states, RecordedStates):
        yield from states[:, layer, position].blocks(most_rows)
        return
    for start in range(0, states.shape[0], most_rows):
        rows = np.arange(start, min(start + most_rows, states.shape[0]))
        yield rows, _tensor(states[start : start + most_rows, layer, position])


def _not_finite(row: int, layer: int, position: int, feature: int, value: float) -> WorkbenchError:
    return WorkbenchError(
        f"the state of question {row} at layer {layer}, position {position}, feature {feature} is "
        f"{value}; trace in float32 or bfloat16 (float16 overflows), or drop that question"
    )


def _tensor(states: States) -> Tensor:
    """Return states as a tensor on the CPU, not a view of an array."""
    if isinstance(states, Tensor):
        return states.detach().cpu()
    return torch.from_numpy(np.array(states))
