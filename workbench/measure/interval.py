"""Hold a measured value with its interval, one number or a curve of them: the form of every result
of this package.

``low`` and ``high`` bound an interval of the paired bootstrap over questions, of the kind that fits
the number (see :mod:`workbench.measure.bootstrap`); they are NaN where none is known to cover. An
undefined value is NaN, never zero: AUROC2 of answers that are all right is unknown, not chance. The
interval does not show variation between training seeds, prompts or question sets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from workbench.errors import WorkbenchError
from workbench.settings.defaults import LEVEL


@dataclass(frozen=True)
class Estimate:
    """An estimate: a value, its interval ``[low, high]`` and ``n``, the number of questions it was
    computed from.

    An interval need not contain the value (that of a distance which noise lengthens lies around the
    debiased value), so that is not demanded.
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
        """Return flat summary entries ``{prefix, prefix.low, prefix.high}``."""
        return {prefix: self.value, f"{prefix}.low": self.low, f"{prefix}.high": self.high}

    def __format__(self, spec: str) -> str:
        """Write ``0.812 [0.700, 0.900]``, each number as ``spec`` says (without one: ``.3f``).

        A line break before the number's spec, as in ``"\\n.3f"``, puts the interval on a second
        line. Without an interval only the value is written, and NaN is "not defined".
        """
        number = spec.removeprefix("\n") or ".3f"
        if np.isnan(self.value):
            return "not defined"
        if np.isnan(self.low):
            return format(self.value, number)
        gap = "\n" if spec.startswith("\n") else " "
        bounds = f"{format(self.low, number)}, {format(self.high, number)}"
        return f"{format(self.value, number)}{gap}[{bounds}]"


@dataclass(frozen=True)
class IntervalCurve:
    """A curve with its interval: ``value``, ``low`` and ``high``, each [points]; arrays are kept as
    float64 copies.
    """

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

    def spread(self, at: NDArray[np.int64], points: NDArray[np.int64]) -> IntervalCurve:
        """Put a curve known ``at`` some of the ``points``, which rise, on all of them: NaN at the
        others.
        """

        def full(values: NDArray[np.float64]) -> NDArray[np.float64]:
            out = np.full(len(points), np.nan)
            out[np.searchsorted(points, at)] = values
            return out

        return IntervalCurve(full(self.value), full(self.low), full(self.high))

    def at(self, place: int, n: int) -> Estimate:
        """Take the point ``place`` of the curve as an estimate from ``n`` questions."""
        return Estimate(
            float(self.value[place]), float(self.low[place]), float(self.high[place]), n
        )


def flat_summary(values: Mapping[Any, Any]) -> dict[str, Any]:
    """Write ``values`` as a flat summary: each key as its text, an estimate as three entries.

    This is the one place where an estimate becomes ``key``, ``key.low`` and ``key.high``.
    """
    out: dict[str, Any] = {}
    for key, value in values.items():
        name = str(key)
        out |= value.to_dict(name) if isinstance(value, Estimate) else {name: value}
    return out


def summarise_null(values: ArrayLike, n: int, level: float = LEVEL) -> Estimate:
    """Return the mean of ``values`` [shuffles], which shuffling ``n`` questions gave (NaN skipped),
    and between which of them ``level`` lie: the spread of a null, not of a measurement.
    """
    found = np.asarray(values, dtype=np.float64)
    found = found[~np.isnan(found)]
    if not len(found):
        return Estimate(float("nan"), float("nan"), float("nan"), n)
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(found.mean()), float(low), float(high), n)
