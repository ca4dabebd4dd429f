"""Draw the maps whose rows are layers: colour is the mean shift, hatching marks what the arithmetic
alone could have done.

White is no move, blue towards the donor, orange away from it; colours end at the largest absolute
shift of the map, or at the ``limit`` given, so that maps can share a scale. Hatched cells are
within the noise floor (a state patched into itself); a dot marks cells whose p-value, corrected
over the whole map, is below .05. An unmarked cell is not a zero: read the hover.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.arrays import Floats
from workbench.errors import WorkbenchError
from workbench.plots.heatmap_marks import FLOOR_MARK, WITHIN_FLOOR, mark_cells
from workbench.plots.theme import BLACK, apply_theme, safe, short

SIGNIFICANT = 0.05
LABEL = 30
# Fewer rows than these are drawn taller, so that axis titles and the colour bar have room.
_FEWEST_ROWS = 9
_SMALLEST = 0.01
DIVERGING = (
    (0.0, "#A8500F"),
    (0.25, "#E8A366"),
    (0.5, "#FFFFFF"),
    (0.65, "#9CC9E6"),
    (0.85, "#1B7DB8"),
    (1.0, "#0A2F4F"),
)


def check_grid(
    layers: NDArray[np.int64], columns: Sequence[str], cells: dict[str, Floats], floor: float
) -> None:
    """Refuse layers that do not rise, matrices of another shape than [layers, columns], and a
    negative noise floor.

    Raises:
        WorkbenchError: for each of these.
    """
    if layers.ndim != 1 or not len(layers) or (np.diff(layers) <= 0).any():
        raise WorkbenchError("layers must be a rising list of layer numbers")
    shape = (len(layers), len(columns))
    for name, values in cells.items():
        if np.shape(values) != shape:
            raise WorkbenchError(
                f"{name} has shape {np.shape(values)}, layers and columns ask for {shape}"
            )
    if not floor >= 0:
        raise WorkbenchError(f"a noise floor is a size, so at least 0; got {floor}")


def effect_grid(
    *,
    layers: NDArray[np.int64],
    columns: Sequence[str],
    shift: Floats,
    low: Floats,
    high: Floats,
    p_any: Floats,
    floor: float,
    limit: float | None,
    title: str,
    caption: str,
    x: str,
) -> go.Figure:
    """Draw the map; the first layer is at the bottom, where the model begins."""
    at, rows = np.arange(len(columns)), np.arange(len(layers))
    most = max(_SMALLEST, float(np.nanmax(np.abs(shift), initial=0.0))) if limit is None else limit
    names = np.array([safe(name) for name in columns], dtype=object)
    hover = np.empty((*shift.shape, 5), dtype=object)
    for index, values in enumerate(
        (np.broadcast_to(names, shift.shape), layers[:, None] + 0 * at, low, high, p_any)
    ):
        hover[..., index] = values
    figure = go.Figure(
        go.Heatmap(
            x=at,
            y=rows,
            z=shift,
            customdata=hover,
            zmin=-most,
            zmax=most,
            colorscale=[list(stop) for stop in DIVERGING],
            colorbar={
                "title": {"text": "shift", "side": "top"},
                "thickness": 12,
                "outlinewidth": 0,
                "tickformat": ".2~g",
            },
            hovertemplate=(
                "%{customdata[0]}<br>layer %{customdata[1]}: shift %{z:.3f} [%{customdata[2]:.3f}, "
                "%{customdata[3]:.3f}]<br>p over the whole map %{customdata[4]:.3f}<extra></extra>"
            ),
            hoverongaps=False,
            xgap=1,
            ygap=1,
            name="shift",
        )
    )
    within = np.abs(shift) <= floor
    mark_cells(figure, at, within, WITHIN_FLOOR, FLOOR_MARK)
    known = (p_any < SIGNIFICANT) & ~within
    light = np.where(np.abs(shift) > 0.6 * most, "#FFFFFF", BLACK)
    mark_cells(
        figure,
        at,
        known,
        f"p < {SIGNIFICANT:g} over the whole map",
        {"symbol": "circle", "size": 5, "color": list(light[known])},
    )
    apply_theme(
        figure,
        title=title,
        caption=f"{caption} · noise floor {floor:.1g}",
        x=x,
        y="patched decoder layer",
        height=300 + 22 * max(len(layers), _FEWEST_ROWS),
    )
    figure.update_xaxes(
        showgrid=False, tickvals=at, ticktext=[short(name, LABEL) for name in columns]
    )
    figure.update_yaxes(showgrid=False, tickvals=rows, ticktext=[str(layer) for layer in layers])
    return figure
