"""Draw layer x head: which attention heads bring the confidence to one token?

One column per query head, one row per layer, the first at the bottom. A cell is the mean shift when
that head's output at one token is replaced by the donor's. Heads share the work, so single shifts
are small and need not add up to the whole; a head that only keeps the general level moves nothing
when donors come from other questions. See :mod:`workbench.plots.effect_grid`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.plots.effect_grid import check_grid, effect_grid


@dataclass(frozen=True, kw_only=True)
class LayerHeadMap:
    """The map's data: ``shift``, its interval ``low`` and ``high``, and ``p_any``, each [layers,
    heads]; ``floor`` the noise in units of shift.

    ``limit``: the shift at which colours end; the map's largest if None.
    """

    layers: NDArray[np.int64]
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
        check_grid(self.layers, self._heads(), cells, self.floor)

    def _heads(self) -> list[str]:
        return [str(head) for head in range(np.shape(self.shift)[-1])]

    def figure(self) -> go.Figure:
        """Draw the heat map."""
        return effect_grid(
            layers=self.layers,
            columns=self._heads(),
            shift=self.shift,
            low=self.low,
            high=self.high,
            p_any=self.p_any,
            floor=self.floor,
            limit=self.limit,
            title=self.title,
            caption=self.caption,
            x="query head",
        )
