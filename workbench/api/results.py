"""Hold the results of patching: readings of every prompt in every cell and condition, small and
frozen.

``effect`` is the mean over prompts of (patched - base) on the readout, in its own units. ``shift``
is the mean of that move divided by the mean of (donor - base): 0 nothing moved, 1 all the way to
the donor's reading; it is NaN where the donor is no run or reads as the base does. Intervals are
the 95 % ones of :mod:`workbench.measure.percentile`, from the bootstrap over prompt pairs; NaN for
a single pair. Positive effects raise the readout, positive shifts go towards the donor.

What the numbers do not show: an interval says how far other prompts of the same kind would move the
mean, not that the prompts stand for a task; and patching after the last layer moves everything as a
matter of course.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.api.display import folded_table, result_html, show_result
from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.measure.bootstrap import resampled_rows
from workbench.measure.percentile import bounds
from workbench.patch.effect_map import Axis
from workbench.patch.effects import max_readout_change
from workbench.plots.readout_curve import ReadoutCurve
from workbench.plots.readout_map import MapAxis, ReadoutMap
from workbench.settings.defaults import LEVEL, RESAMPLES

Role = Literal["effect", "control", "floor"]
ALIKE = 1e-9
"""Means of readings that differ by less are the same but for rounding."""


@dataclass(frozen=True, eq=False)
class Readings:
    """The readings of one condition.

    Attributes:
        role: the effect, a control of it, or the noise floor.
        axes: of ``patched`` after that of the prompts.
        base: [rows] unpatched.
        donor: [rows] of the runs the states come from, None where they come from none.
        patched: [rows, *axes].

    Raises:
        WorkbenchError: for arrays of other shapes.
    """

    name: str
    role: Role
    axes: tuple[Axis, ...]
    base: Floats
    donor: Floats | None
    patched: Floats

    def __post_init__(self) -> None:
        shape = (len(self.base), *(len(axis.labels) for axis in self.axes))
        if self.patched.shape != shape or (self.donor is not None and len(self.donor) != shape[0]):
            raise WorkbenchError(f"Readings must be {shape}, got {self.patched.shape}.")

    def cells(self) -> pd.DataFrame:
        """Return one line per cell with its labels, in row-major order."""
        index = pd.MultiIndex.from_product(
            [axis.labels for axis in self.axes], names=[axis.name for axis in self.axes]
        )
        return index.to_frame(index=False)

    def estimates(self, resamples: int, seed: int) -> pd.DataFrame:
        """Return one line per cell: ``effect`` and ``shift`` with their intervals."""
        rows = len(self.base)
        moved = (self.patched - self.base.reshape(-1, *[1] * len(self.axes))).reshape(rows, -1)
        span = np.full(rows, np.nan) if self.donor is None else self.donor - self.base
        found = _means(np.ones((1, rows)), moved, span)
        drawn = [
            _means(_counts(chunk, rows), moved, span)
            for chunk in (resampled_rows(rows, resamples=resamples, seed=seed) if rows > 1 else ())
        ]
        out = self.cells()
        for index, name in enumerate(("effect", "shift")):
            low, high = _interval(found[index][0], [pair[index] for pair in drawn], rows)
            out[name], out[f"{name}_low"], out[f"{name}_high"] = found[index][0], low, high
        return out.assign(prompts=rows)


@dataclass(frozen=True, eq=False)
class PatchMap:
    """The readings of a grid of patches and of its controls.

    Attributes:
        read: what the readout is.
        what: what is patched and where, in words.
        conditions: the effect first.
    """

    read: str
    what: str
    conditions: tuple[Readings, ...]

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.conditions[0].axes

    @property
    def base(self) -> Floats:
        """[rows] unpatched readings."""
        return self.conditions[0].base

    @property
    def donor(self) -> Floats | None:
        """[rows] readings of the donors' own runs."""
        return self.conditions[0].donor

    @property
    def patched(self) -> Floats:
        """[rows, *axes] patched readings."""
        return self.conditions[0].patched

    @property
    def noise_floor(self) -> float:
        """The largest move of any reading by a run's own states; NaN without controls."""
        moves = [
            max_readout_change(part.base, part.patched.reshape(len(part.base), -1))
            for part in self.conditions
            if part.role == "floor"
        ]
        return max(moves, default=float("nan"))

    def condition(self, name: str) -> Readings:
        """Return the readings of one condition.

        Raises:
            WorkbenchError: for a condition that was not read.
        """
        for part in self.conditions:
            if part.name == name:
                return part
        known = ", ".join(part.name for part in self.conditions)
        raise WorkbenchError(f"There is no condition {name!r}; there are {known}.")

    def table(self) -> pd.DataFrame:
        """Return one line per condition, prompt and cell: its labels, ``base``, ``donor``,
        ``patched``.
        """
        parts = []
        for part in self.conditions:
            cells, rows = part.cells(), len(part.base)
            count = len(cells)
            donor = np.full(rows, np.nan) if part.donor is None else part.donor
            lines = pd.concat([cells] * rows, ignore_index=True)
            lines.insert(0, "condition", part.name)
            lines.insert(1, "prompt", np.repeat(np.arange(rows), count))
            parts.append(
                lines.assign(
                    base=np.repeat(part.base, count),
                    donor=np.repeat(donor, count),
                    patched=part.patched.reshape(-1),
                )
            )
        return pd.concat(parts, ignore_index=True)

    def summary(self, *, resamples: int = RESAMPLES, seed: int = 0) -> pd.DataFrame:
        """Return one line per condition and cell: ``effect`` and ``shift`` with their intervals."""
        parts = []
        for part in self.conditions:
            lines = part.estimates(resamples, seed)
            lines.insert(0, "condition", part.name)
            parts.append(lines)
        return pd.concat(parts, ignore_index=True)

    def caption(self) -> str:
        """Return the number of prompts, the readout, and the unpatched readings, in words."""
        rows = len(self.base)
        said = [f"{rows} prompt pairs" if rows > 1 else "one prompt pair", self.read]
        said.append(f"unpatched {self.base.mean():.3g}")
        if self.donor is not None:
            said.append(f"donor {self.donor.mean():.3g}")
        return " · ".join(said)

    def figure(self) -> go.Figure:
        """Draw a heat map of two axes, or a curve of one.

        Raises:
            WorkbenchError: for more than two axes.
        """
        if len(self.axes) == 1:
            return _curve(self)
        if len(self.axes) > 2:
            raise WorkbenchError(
                "A figure shows two axes; draw a map over two of "
                f"{', '.join(axis.name for axis in self.axes)}, or use its table."
            )
        lines = self.conditions[0].estimates(RESAMPLES, 0)
        floor = self.noise_floor
        as_shift = bool(np.isfinite(lines["shift"]).all())
        name = "shift" if as_shift else "effect"
        if as_shift and self.donor is not None:
            floor = floor / abs(float((self.donor - self.base).mean()))
        shape = self.patched.shape[1:]
        value, low, high = (
            lines[column].to_numpy().reshape(shape)
            for column in (name, f"{name}_low", f"{name}_high")
        )
        return ReadoutMap(
            rows=MapAxis(self.axes[0].name, self.axes[0].labels),
            columns=MapAxis(self.axes[1].name, self.axes[1].labels),
            value=value,
            low=low,
            high=high,
            unit="shift (0 base, 1 donor)" if as_shift else "effect",
            floor=floor,
            title=self.what,
            caption=self.caption(),
        ).figure()

    def _shown(self) -> tuple[go.Figure | None, str]:
        figure = self.figure() if len(self.axes) <= 2 else None
        return figure, folded_table(self.summary(), opened=figure is None)

    def _ipython_display_(self) -> None:
        show_result(*self._shown())

    def _repr_html_(self) -> str:
        return result_html(*self._shown())


@dataclass(frozen=True, eq=False)
class Sweep(PatchMap):
    """The readings of patches layer by layer, and of their controls."""

    @property
    def layers(self) -> tuple[int | str, ...]:
        return self.axes[0].labels


def _curve(found: PatchMap) -> go.Figure:
    return ReadoutCurve(
        axis=found.axes[0].name,
        labels=found.axes[0].labels,
        curves={
            part.name: (part.axes[0].labels, *_mean_reading(part))
            for part in found.conditions
            if part.role != "floor"
        },
        base=float(found.base.mean()),
        donor=None if found.donor is None else float(found.donor.mean()),
        floor=found.noise_floor,
        unit=found.read,
        title=found.what,
        caption=found.caption(),
    ).figure()


def _mean_reading(part: Readings) -> tuple[Floats, Floats, Floats]:
    """Return the mean patched reading of each cell with its interval; the base is held at its
    mean.
    """
    lines, base = part.estimates(RESAMPLES, 0), float(part.base.mean())
    value, low, high = (
        base + lines[name].to_numpy() for name in ("effect", "effect_low", "effect_high")
    )
    return value, low, high


def _counts(chunk: NDArray[np.int64], rows: int) -> Floats:
    flat = chunk + np.arange(len(chunk))[:, None] * rows
    return (
        np.bincount(flat.ravel(), minlength=len(chunk) * rows).reshape(-1, rows).astype(np.float64)
    )


def _means(counts: Floats, moved: Floats, span: Floats) -> tuple[Floats, Floats]:
    """Return the mean move and its share of the mean span, [draws, cells] each."""
    total = counts.sum(axis=1, keepdims=True)
    effect = counts @ moved / total
    distance = (counts @ span)[:, None] / total
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.where(np.abs(distance) > ALIKE, effect / distance, np.nan)
    return effect, shift


def _interval(
    value: Floats, draws: list[Floats], rows: int
) -> tuple[Floats | float, Floats | float]:
    if not draws:
        return float("nan"), float("nan")
    return bounds(value, np.concatenate(draws), LEVEL, rows)
