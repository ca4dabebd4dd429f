"""Draw what was trained, as rows, against what is measured, as columns; each cell with its number
and its interval.

White is ``centre`` (chance, or no gain), blue the better side, orange the worse; colours end at the
largest distance from the centre. A cell framed in black is measured on what its row was trained on.
Two cells whose intervals overlap may still differ: compare the difference itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import plotly.graph_objects as go

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.effect_grid import DIVERGING, LABEL
from workbench.plots.theme import BLACK, apply_theme, safe, short

_SMALLEST = 0.01
_TURNED = tuple((1 - at, colour) for at, colour in reversed(DIVERGING))


@dataclass(frozen=True, kw_only=True)
class TransferMatrix:
    """The matrix: ``cells`` by (row, column); one that is missing, or not defined, stays empty.
    ``own`` cells get a frame.
    """

    rows: Sequence[str]
    columns: Sequence[str]
    cells: Mapping[tuple[str, str], Estimate]
    centre: float
    title: str
    caption: str
    x: str
    y: str
    own: Collection[tuple[str, str]] = ()
    better: Literal["higher", "lower"] = "higher"

    def __post_init__(self) -> None:
        for names in (self.rows, self.columns):
            if not names or len(set(names)) != len(names):
                raise WorkbenchError(
                    "a matrix needs at least one row and one column, each with a name of its own"
                )
        strange = [
            cell
            for cell in (*self.cells, *self.own)
            if cell[0] not in self.rows or cell[1] not in self.columns
        ]
        if strange:
            raise WorkbenchError(
                f"the cell {strange[0]} is in no row and column of the matrix; name its row and "
                "column"
            )

    def figure(self) -> go.Figure:
        """Draw the map; the first row is at the top."""
        shape = (len(self.rows), len(self.columns))
        value, low, high = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
        text, names = np.full(shape, "", dtype=object), np.full((*shape, 2), "", dtype=object)
        for i, row in enumerate(self.rows):
            for j, column in enumerate(self.columns):
                names[i, j] = safe(row), safe(column)
                found = self.cells.get((row, column))
                if found is not None and not np.isnan(found.value):
                    value[i, j], low[i, j], high[i, j] = found.value, found.low, found.high
                    text[i, j] = format(found, "\n.2f").replace("\n", "<br>")
        most = max(_SMALLEST, float(np.nanmax(np.abs(value - self.centre), initial=0.0)))
        scale = DIVERGING if self.better == "higher" else _TURNED
        figure = go.Figure(
            go.Heatmap(
                x=np.arange(shape[1]),
                y=np.arange(shape[0]),
                z=value,
                text=text,
                texttemplate="%{text}",
                textfont={"size": 13},
                customdata=np.concatenate([names, low[..., None], high[..., None]], axis=-1),
                zmin=self.centre - most,
                zmax=self.centre + most,
                colorscale=[list(stop) for stop in scale],
                colorbar={"thickness": 12, "outlinewidth": 0, "tickformat": ".2~f"},
                hovertemplate=(
                    "%{customdata[0]}<br>%{customdata[1]}: %{z:.3f} [%{customdata[2]:.3f}, "
                    "%{customdata[3]:.3f}]"
                    "<extra></extra>"
                ),
                hoverongaps=False,
                xgap=2,
                ygap=2,
            )
        )
        for row, column in self.own:
            i, j = list(self.rows).index(row), list(self.columns).index(column)
            figure.add_shape(
                type="rect",
                x0=j - 0.5,
                x1=j + 0.5,
                y0=i - 0.5,
                y1=i + 0.5,
                line={"color": BLACK, "width": 2},
            )
        height = 250 + 46 * shape[0]
        apply_theme(
            figure, title=self.title, caption=self.caption, x=self.x, y=self.y, height=height
        )
        figure.update_xaxes(
            showgrid=False,
            tickvals=np.arange(shape[1]),
            ticktext=[short(name, LABEL) for name in self.columns],
        )
        figure.update_yaxes(
            showgrid=False,
            tickvals=np.arange(shape[0]),
            ticktext=[short(name, LABEL) for name in self.rows],
            autorange="reversed",
        )
        return figure
