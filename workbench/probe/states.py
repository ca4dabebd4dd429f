"""Read residual-stream states as probes take them, [questions, layers, positions, width], a layer
at a time.

The array may be far larger than memory (a memory map): only one layer of it is ever copied. States
are checked for finite values as they are read, because a NaN would spread silently through every
Gram matrix.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench.errors import WorkbenchError

States = NDArray[np.floating] | Tensor


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
    if isinstance(states, Tensor):
        slab = states[:, layer].detach().cpu()
    else:
        slab = torch.from_numpy(np.array(states[:, layer]))
    finite = torch.isfinite(slab)
    if not bool(finite.all()):
        row, position, feature = (int(i) for i in (~finite).nonzero()[0])
        raise WorkbenchError(
            f"the state of question {row} at layer {layer}, position {position}, feature {feature} "
            "is "
            f"{slab[row, position, feature].item()}; trace in float32 or bfloat16 (float16 "
            "overflows), or drop that question"
        )
    return slab
