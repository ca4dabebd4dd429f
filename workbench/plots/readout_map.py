"""Draw effects along two named axes: which cells move the readout, and which way?

White is no move, blue towards the donor (or, without a donor's run, a higher readout), orange away
from it; colours end at the largest absolute value. Hatched cells are within what a run's own states
do to it. Layers are on the vertical axis, the first at the bottom, and tokens on the horizontal
one, as text. An unmarked cell is not a cause the model uses: patching shows what a state suffices
for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.plots.effect_grid import DIVERGING
from workbench.plots.heatmap_marks import FLOOR_MARK, WITHIN_FLOOR, mark_cells
from workbench.plots.theme import apply_theme, safe, short

LABEL = 18
_MOST_TICKS = 40
_FEWEST_ROWS = 9
_SMALLEST = 1e-6


@dataclass(frozen=True)
class MapAxis:
    """An axis of the map: a name and one label per cell."""

    name: str
    labels: tuple[int | str, ...]


@dataclass(frozen=True, kw_only=True)
class ReadoutMap:
    """The map's data: ``value``, ``low`` and ``high``, each [rows, columns]; bounds NaN where they
    are unknown.

    ``floor``: the largest value that own states give, NaN where it is unknown.
    """

    rows: MapAxis
    columns: MapAxis
    value: Floats
    low: Floats
    high: Floats
    unit: str
    floor: float
    title: str
    caption: str

    def __post_init__(self) -> None:
        shape = (len(self.rows.labels), len(self.columns.labels))
        for name in ("value", "low", "high"):
            if getattr(self, name).shape != shape:
                raise WorkbenchError(
                    f"{name} has shape {getattr(self, name).shape}, the axes ask for {shape}"
                )

    def figure(self) -> go.Figure:
        """Draw the heat map; an axis of layers is vertical, whichever of the two it is."""
        if self.columns.name == "layer" and self.rows.name != "layer":
            turned = ReadoutMap(
                rows=self.columns,
                columns=self.rows,
                value=self.value.T,
                low=self.low.T,
                high=self.high.T,
                unit=self.unit,
                floor=self.floor,
                title=self.title,
                caption=self.caption,
            )
            return turned.figure()
        across, up = self.columns.labels, self.rows.labels
        most = max(_SMALLEST, float(np.nanmax(np.abs(self.value), initial=0.0)))
        hover = np.empty((*self.value.shape, 4), dtype=object)
        hover[..., 0] = [safe(str(label)) for label in across]
        hover[..., 1] = np.array([safe(str(label)) for label in up], dtype=object)[:, None]
        hover[..., 2], hover[..., 3] = self.low, self.high
        figure = go.Figure(
            go.Heatmap(
                x=np.arange(len(across)),
                y=np.arange(len(up)),
                z=self.value,
                customdata=hover,
                zmin=-most,
                zmax=most,
                colorscale=[list(stop) for stop in DIVERGING],
                colorbar={
                    "title": {"text": safe(self.unit.partition(" (")[0]), "side": "top"},
                    "thickness": 12,
                    "outlinewidth": 0,
                    "tickformat": ".2~g",
                },
                hovertemplate=(
                    f"{self.columns.name} %{{customdata[0]}}<br>{self.rows.name} "
                    "%{customdata[1]}: %{z:.3f} [%{customdata[2]:.3f}, %{customdata[3]:.3f}]"
                    "<extra></extra>"
                ),
                xgap=1,
                ygap=1,
                name=safe(self.unit),
            )
        )
        within = np.abs(self.value) <= (self.floor if np.isfinite(self.floor) else -1.0)
        mark_cells(figure, np.arange(len(across)), within, WITHIN_FLOOR, FLOOR_MARK)
        floor = f" · noise floor {self.floor:.1g}" if np.isfinite(self.floor) else ""
        apply_theme(
            figure,
            title=self.title,
            caption=f"{self.caption} · {self.unit}{floor}",
            x=_said(self.columns.name),
            y=_said(self.rows.name),
            height=300 + 22 * min(40, max(len(up), _FEWEST_ROWS)),
        )
        figure.update_xaxes(showgrid=False, **_ticks(across))
        if any(isinstance(label, str) for label in across):
            figure.update_xaxes(tickangle=-45)
        figure.update_yaxes(showgrid=False, **_ticks(up))
        return figure


def _said(name: str) -> str:
    return "patched decoder layer" if name == "layer" else name


def _ticks(labels: tuple[int | str, ...]) -> dict[str, list[object]]:
    step = 1 + (len(labels) - 1) // _MOST_TICKS
    return {
        "tickvals": list(range(0, len(labels), step)),
        "ticktext": [short(str(label), LABEL) for label in labels[::step]],
    }
