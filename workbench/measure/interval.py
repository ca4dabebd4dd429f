"""A measured value with its interval, one number or a curve of them: the form in which every result
leaves this room.

``low`` and ``high`` bound a percentile interval of the paired bootstrap over questions (see
:mod:`workbench.measure.bootstrap`). An undefined value is NaN, never zero: AUROC2 of answers that
are all right is unknown, not chance. What the interval does not show: variation between training
seeds, prompts or question sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.errors import WorkbenchError


@dataclass(frozen=True)
class Estimate:
    """A value, its interval ``[low, high]`` and ``n``, the number of questions it was computed
    from.

    A percentile interval need not contain the value (a biased statistic on few questions), so that
    is not demanded.
    """

    value: float
    low: float
    high: float
    n: int

    def __post_init__(self) -> None:
        if self.n < 0:
            raise ValueError(f"an estimate cannot come from {self.n} questions")
        if self.low > self.high:
            raise ValueError(f"the interval [{self.low}, {self.high}] is the wrong way round")

    def to_dict(self, prefix: str) -> dict[str, float]:
        """Flat summary entries ``{prefix, prefix.low, prefix.high}``."""
        return {prefix: self.value, f"{prefix}.low": self.low, f"{prefix}.high": self.high}


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
                f"a curve needs value, low and high of one length; got {self.value.shape}, "
                f"{self.low.shape}, "
                f"{self.high.shape}"
            )
        if (self.low > self.high).any():
            raise WorkbenchError("a curve's interval is the wrong way round: low lies above high")

    def __len__(self) -> int:
        return len(self.value)
