"""Draw the layer x question heat map: is the patching curve the same for every question, or a mean
of different ones?

One row per question, one column per layer, colour the item's shift (patched - base) / (donor -
base): white nothing, blue towards the donor, orange away from it. Colours stop at -0.5 and 1.5
because the ratio explodes where donor and base hardly differ; hover shows the value itself. NaN (no
difference to share out) stays blank. Hatched cells moved less than numerical noise alone can.
Single cells are noisy: read columns, not cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.plots.curves import checked_layers
from workbench.plots.heatmap_marks import FLOOR_MARK, WITHIN_FLOOR, mark_cells
from workbench.plots.theme import apply_theme, safe, short

LOWEST, HIGHEST = -0.5, 1.5
_LABEL_LENGTH = 34
_ROW_HEIGHT = 17
_SCALE = (
    (0.0, "#E08A3C"),
    (0.25, "#FFFFFF"),
    (0.5, "#9CC9E6"),
    (0.75, "#1B7DB8"),
    (1.0, "#0A2F4F"),
)


@dataclass(frozen=True, kw_only=True)
class LayerQuestionHeatmap:
    """The map's data: ``shift`` [questions, layers] for the question texts ``labels`` and
    ``layers``, drawn from the top in this order.

    ``floor`` [questions]: each question's noise, in units of its shift.
    """

    layers: NDArray[np.int64]
    labels: Sequence[str]
    shift: NDArray[np.float64]
    floor: NDArray[np.float64]
    title: str
    caption: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", checked_layers(self.layers, {}))
        expected = (len(self.labels), len(self.layers))
        if not self.labels or np.shape(self.shift) != expected:
            raise WorkbenchError(
                f"shift has shape {np.shape(self.shift)}, labels and layers ask for {expected}"
            )
        if np.shape(self.floor) != (len(self.labels),):
            raise WorkbenchError(
                f"the floor has shape {np.shape(self.floor)}, the labels ask for "
                f"{(len(self.labels),)}"
            )

    def figure(self) -> go.Figure:
        """Draw the heat map; rows are numbered, so that questions with the same beginning are
        separate rows.
        """
        rows = np.arange(len(self.labels))
        full = np.array([safe(label) for label in self.labels], dtype=object)
        figure = go.Figure(
            go.Heatmap(
                x=self.layers,
                y=rows,
                z=np.asarray(self.shift, dtype=np.float64),
                customdata=np.repeat(full[:, None], len(self.layers), axis=1),
                zmin=LOWEST,
                zmax=HIGHEST,
                colorscale=[list(stop) for stop in _SCALE],
                colorbar={
                    "title": {"text": "shift", "side": "top"},
                    "tickvals": [-0.5, 0, 0.5, 1, 1.5],
                    "ticktext": ["≤ −0.5", "0", "0.5", "1", "≥ 1.5"],
                    "thickness": 12,
                    "outlinewidth": 0,
                },
                hovertemplate="%{customdata}<br>layer %{x}: shift %{z:.3f}<extra></extra>",
                hoverongaps=False,
                xgap=1,
                ygap=1,
            )
        )
        within = np.abs(self.shift) <= np.asarray(self.floor)[:, None]
        mark_cells(figure, self.layers, within, WITHIN_FLOOR, FLOOR_MARK)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="patched decoder layer",
            y="",
            height=max(340, 190 + _ROW_HEIGHT * len(self.labels)),
        )
        # The marks would widen both axes beyond the cells, whose edges lie half way between layers.
        first, last = self.layers[0], self.layers[-1]
        steps = np.diff(self.layers) if len(self.layers) > 1 else np.ones(1)
        ends = [float(first - steps[0] / 2), float(last + steps[-1] / 2)]
        figure.update_xaxes(showgrid=False, range=ends)
        figure.update_yaxes(
            range=[len(rows) - 0.5, -0.5],
            tickvals=rows,
            ticktext=[short(label, _LABEL_LENGTH) for label in self.labels],
            tickfont={"size": 11},
            showgrid=False,
        )
        return figure
