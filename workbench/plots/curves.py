"""A measured value with its interval along an axis: the one shape that curve figures take.

``value`` is the point estimate, ``low`` and ``high`` bound its interval; NaN where there is none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class IntervalCurve:
    """``value``, ``low`` and ``high``, each [points]; arrays are kept as float64 copies."""

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("value", "low", "high"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        if self.value.ndim != 1 or not self.value.shape == self.low.shape == self.high.shape:
            raise WorkbenchError(
                f"a curve needs value, low and high of one length; got {self.value.shape}, {self.low.shape}, "
                f"{self.high.shape}"
            )
        if (self.low > self.high).any():
            raise WorkbenchError("a curve's interval is the wrong way round: low lies above high")

    def __len__(self) -> int:
        return len(self.value)


def checked_layers(layers: NDArray[np.int64], curves: dict[str, IntervalCurve]) -> NDArray[np.int64]:
    """``layers`` [n] as an array; raises WorkbenchError when they do not rise or a curve has another length."""
    axis = np.asarray(layers)
    if axis.ndim != 1 or not len(axis) or (np.diff(axis) <= 0).any():
        raise WorkbenchError("layers must be a rising list of layer numbers")
    for name, curve in curves.items():
        if len(curve) != len(axis):
            raise WorkbenchError(f"curve {name!r} has {len(curve)} points for {len(axis)} layers")
    return axis
