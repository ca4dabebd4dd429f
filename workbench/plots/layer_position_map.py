"""Draw layer x position: where along the conversation, and in which layers, is the confidence held?

One column per named part of the conversation, in the order of its tokens; one row per layer, the
first at the bottom. A cell is the mean shift when the donor's states of that part replace the
base's after that layer. Early layers of the part in which runs differ move everything because
nothing has been read from them yet; the last layer moves the place of the number alone, as a matter
of course. The cells between show how it moves. See :mod:`workbench.plots.effect_grid` for colours
and marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.plots.effect_grid import check_grid, effect_grid


@dataclass(frozen=True, kw_only=True)
class LayerPositionMap:
    """The map's data: ``shift``, its interval ``low`` and ``high``, and ``p_any``, each [layers,
    parts]; ``floor`` the noise in units of shift.

    ``limit``: the shift at which colours end; the map's largest if None.
    """

    layers: NDArray[np.int64]
    parts: Sequence[str]
    shift: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    p_any: NDArray[np.float64]
    floor: float
    title: str
    caption: str
    limit: float | None = None

    def __post_init__(self) -> None:
        cells = {name: getattr(self, name) for name in ("shift", "low", "high", "p_any")}
        check_grid(self.layers, self.parts, cells, self.floor)

    def figure(self) -> go.Figure:
        """Draw the heat map."""
        figure = effect_grid(
            layers=self.layers,
            columns=self.parts,
            shift=self.shift,
            low=self.low,
            high=self.high,
            p_any=self.p_any,
            floor=self.floor,
            limit=self.limit,
            title=self.title,
            caption=self.caption,
            x="",
        )
        figure.update_xaxes(tickangle=-35)
        return figure
