"""Write the intervals of estimates as plotly takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.measure.interval import Estimate


def error_bars(
    estimates: Sequence[Estimate], colour: str, *, thickness: float, width: float
) -> dict[str, Any]:
    """Return the error bars of ``estimates``, for ``error_x`` or ``error_y`` of a trace. A bound on
    the other side of its value gives no bar on that side.
    """
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(0.0, one.high - one.value) for one in estimates],
        "arrayminus": [max(0.0, one.value - one.low) for one in estimates],
        "thickness": thickness,
        "width": width,
        "color": colour,
    }
