"""Mark cells of heat maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.plots.theme import GREY, safe

WITHIN_FLOOR = "within the noise floor"
FLOOR_MARK: Mapping[str, Any] = {
    "symbol": "line-ne-open",
    "size": 11,
    "color": GREY,
    "line": {"width": 1.2},
}


def mark_cells(
    figure: go.Figure,
    x: NDArray[Any],
    where: NDArray[np.bool_],
    name: str,
    marker: Mapping[str, Any],
) -> None:
    """Mark every cell where ``where`` [rows, columns] is true, with a legend entry; rows count from
    0.
    """
    rows, columns = np.nonzero(where)
    if len(rows):
        at = np.asarray(x)[columns]
        figure.add_trace(
            go.Scatter(
                x=at, y=rows, mode="markers", marker=dict(marker), name=safe(name), hoverinfo="skip"
            )
        )
