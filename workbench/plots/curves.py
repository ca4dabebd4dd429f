"""Check the layer axis that curve figures share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve


def checked_layers(
    layers: NDArray[np.int64], curves: dict[str, IntervalCurve]
) -> NDArray[np.int64]:
    """Return ``layers`` [n] as an array.

    Raises:
        WorkbenchError: when they do not rise, or a curve has another length.
    """
    axis = np.asarray(layers)
    if axis.ndim != 1 or not len(axis) or (np.diff(axis) <= 0).any():
        raise WorkbenchError("layers must be a rising list of layer numbers")
    for name, curve in curves.items():
        if len(curve) != len(axis):
            raise WorkbenchError(f"curve {name!r} has {len(curve)} points for {len(axis)} layers")
    return axis
