"""Draw the histogram of stated confidence: does the text use its scale, or say 9x % to everything?

Bins are five points wide, [0, 5) ... [95, 100), and exactly 100 has a bin of its own, because that
is where untrained models pile up. Heights are shares of ALL replies, unparsed ones included, so
bars of a run with format failures do not grow; the legend names the share that could not be parsed.
A histogram does not show whether the confident answers are the right ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.measure.edges import at_least, bin_index
from workbench.plots.theme import Role, apply_theme, safe, styles

_WIDTH = 5
_HATCHES = ("", "/", "x", "-", "|")
_EDGES = np.arange(0, 101, _WIDTH)


@dataclass(frozen=True, kw_only=True)
class ConfidenceHistogram:
    """The histogram's data. ``groups``: name -> stated confidence in percent [n], NaN = unparsed;
    drawn side by side in this order.
    """

    groups: Mapping[str, NDArray[np.float64]]
    title: str
    caption: str
    roles: Mapping[str, Role] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.groups:
            raise WorkbenchError("a confidence histogram needs at least one group")
        for name, values in self.groups.items():
            array = np.asarray(values, dtype=np.float64)
            if array.ndim != 1 or not len(array):
                raise WorkbenchError(
                    f"group {name!r} has shape {array.shape}; pass one percentage per reply"
                )
            if (array < 0).any() or (array > 100).any():
                raise WorkbenchError(
                    f"group {name!r} holds values outside 0-100; the histogram is in percent"
                )

    def figure(self) -> go.Figure:
        """Draw grouped bars of the share of replies (percent) by stated confidence (percent)."""
        # Plotly hides the legend of a single trace, and with it what the legend says.
        figure = go.Figure(layout={"showlegend": True})
        look = styles(self.groups, self.roles)
        hatching = _hatching({name: style.colour for name, style in look.items()})
        ranges = [f"{edge} to under {edge + _WIDTH}" for edge in _EDGES[:-1]] + ["exactly 100"]
        for name, values in self.groups.items():
            shares, counts, unparsed = shares_by_bin(values)
            figure.add_trace(
                go.Bar(
                    x=[str(edge) for edge in _EDGES],
                    y=100 * shares,
                    customdata=list(zip(ranges, counts.tolist(), strict=True)),
                    name=f"{safe(name)} ({100 * unparsed:.1f} % unparsed)",
                    marker={
                        "color": look[name].colour,
                        "line": {"width": 0},
                        "pattern": {
                            "shape": hatching[name],
                            "fillmode": "overlay",
                            "fgcolor": "white",
                            "size": 5,
                        },
                    },
                    hovertemplate=(
                        "stated %{customdata[0]} %<br>%{y:.1f} % of replies (%{customdata[1]})"
                        "<extra>%{fullData.name}</extra>"
                    ),
                )
            )
        figure.update_layout(barmode="group", bargap=0.18, bargroupgap=0.0)
        apply_theme(
            figure,
            title=self.title,
            caption=self.caption,
            x="stated confidence (%, lower edge of each bin of 5; 100 alone)",
            y="replies (%)",
            height=470,
        )
        figure.update_xaxes(
            type="category",
            showgrid=False,
            categoryarray=[str(edge) for edge in _EDGES],
            tickangle=0,
        )
        figure.update_yaxes(rangemode="tozero")
        return figure


def _hatching(colours: Mapping[str, str]) -> dict[str, str]:
    """Return the hatching of each bar. Bars have no dash, so the second of one colour is hatched
    instead.
    """
    names, order = list(colours), list(colours.values())
    return {
        name: _HATCHES[order[:i].count(order[i]) % len(_HATCHES)] for i, name in enumerate(names)
    }


def shares_by_bin(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Return the shares of all replies [21], counts [21], and the share unparsed of percentages
    ``values`` [n].
    """
    array = np.asarray(values, dtype=np.float64)
    parsed = array[~np.isnan(array)]
    place = np.where(
        at_least(parsed / 100, 1), len(_EDGES) - 1, bin_index(parsed / 100, len(_EDGES) - 1)
    )
    counts = np.bincount(place, minlength=len(_EDGES))
    return counts / len(array), counts, 1 - len(parsed) / len(array)
