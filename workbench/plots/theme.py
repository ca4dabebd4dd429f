"""Give every figure one look: white ground, readable type, colours that mean the same everywhere.

Colours are Okabe and Ito's, safe for the common forms of colour blindness: before is grey, after
blue, the control on shuffled targets or labels orange, the probe green. A figure is told the roles
of its series and never reads them off names; a series without a role takes the next muted control
style. The second series of one role keeps the colour and changes its dash. Interval bands are the
line's colour, lighter. Plotly reads <b>, <i> and <a href> in any text it draws, so every label from
a file or a model passes through :func:`safe`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from workbench.measure.interval import IntervalCurve

BLACK = "#222222"
GREY = "#6b6b6b"
LIGHT = "#dcdcdc"
BLUE = "#0072B2"
ORANGE = "#E69F00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
RED = "#D55E00"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
CHANCE = 0.5

Role = Literal["before", "after", "control", "probe"]
"""The meaning of a series."""

_COLOURS: Mapping[Role, str] = {"before": GREY, "after": BLUE, "control": ORANGE, "probe": GREEN}
_CONTROLS = (
    (PURPLE, "dash"),
    (RED, "dashdot"),
    ("#8c7a4f", "longdash"),
    ("#7a6f9b", "dot"),
    ("#56B4E9", "longdashdot"),
)
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "x")
_TITLE_WIDTH = 56
_CAPTION_WIDTH = 86


@dataclass(frozen=True)
class Style:
    """The style of one series; ``colour`` is #rrggbb."""

    colour: str
    dash: str
    symbol: str


def styles(
    names: Iterable[str], roles: Mapping[str, Role] = MappingProxyType({})
) -> dict[str, Style]:
    """Return a style for each name: the colour of its role, or the next control style without one;
    a single name without a role is blue and solid.
    """
    names = list(names)
    if len(names) == 1 and names[0] not in roles:
        return {names[0]: Style(BLUE, _DASHES[0], _SYMBOLS[0])}
    chosen: dict[str, Style] = {}
    seen: dict[Role | None, int] = {}
    for name in names:
        role = roles.get(name)
        count = seen.get(role, 0)
        seen[role] = count + 1
        symbol = _SYMBOLS[count % len(_SYMBOLS)]
        if role is not None:
            chosen[name] = Style(_COLOURS[role], _DASHES[count % len(_DASHES)], symbol)
        else:
            chosen[name] = Style(*_CONTROLS[count % len(_CONTROLS)], symbol)
    return chosen


def safe(text: str) -> str:
    """Escape ``text`` so that plotly draws it literally, on one line."""
    return escape(" ".join(text.split()), quote=False)


def short(text: str, limit: int) -> str:
    """Cut ``text`` to ``limit`` characters with an ellipsis, and make it safe."""
    line = " ".join(text.split())
    return safe(line if len(line) <= limit else line[: limit - 1].rstrip() + "…")


def faded(colour: str, alpha: float) -> str:
    """Return the rgba() form of a #rrggbb colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def apply_theme(
    figure: go.Figure, *, title: str, caption: str, x: str, y: str, height: int
) -> go.Figure:
    """Give ``figure`` the common look, a title with a caption line, axis titles and a legend below;
    return it.
    """
    head = _lines(title, _TITLE_WIDTH)
    note = _lines(caption, _CAPTION_WIDTH)
    top = 26 + 24 * (head.count("<br>") + 1) + (18 * (note.count("<br>") + 1) if note else 0)
    look: dict[str, Any] = {
        "template": "none",
        "autosize": True,
        "height": height,
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "font": {"family": FONT, "size": 14, "color": BLACK},
        "title": {
            "text": head,
            "subtitle": {"text": note, "font": {"size": 13, "color": GREY}},
            "font": {"size": 18},
            "x": 0.01,
            "xref": "container",
            "xanchor": "left",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 14, "l": 0},
        },
        "margin": {"l": 70, "r": 24, "t": top + 10, "b": 60},
        "legend": {
            "orientation": "h",
            "x": 0,
            "xanchor": "left",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "bgcolor": "rgba(255,255,255,0)",
            "font": {"size": 13},
            "itemsizing": "trace",
            "itemwidth": 40,
        },
        "hoverlabel": {"font": {"family": FONT, "size": 13}, "align": "left", "namelength": -1},
        "hovermode": "closest",
    }
    axis = {
        "showline": True,
        "linecolor": GREY,
        "gridcolor": "#ececec",
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": GREY,
        "ticklen": 4,
        "automargin": True,
    }
    titles = {
        "xaxis": {"text": x, "standoff": 10, "font": {"size": 14}},
        "yaxis": {"text": y, "standoff": 8, "font": {"size": 14}},
    }
    # Assigned at once: plotly follows an update of what is there key by key, ten times as slowly.
    drawn = figure.layout.to_plotly_json()
    for name in {*drawn, *titles}:
        if name[:5] in titles:
            look[name] = {**axis, "title": titles[name[:5]]}
    figure.layout = _merged(drawn, look)
    return figure


def add_floor(figure: go.Figure, floor: float) -> None:
    """Add a band around 0 that numerical noise alone can fill; none where the floor is NaN."""
    if not np.isnan(floor):
        figure.add_hrect(-floor, floor, fillcolor=faded(GREY, 0.25), line_width=0)


def add_curve(
    figure: go.Figure,
    x: NDArray[np.number],
    curve: IntervalCurve,
    name: str,
    style: Style,
    unit: str,
) -> None:
    """Add a line with its interval band, joined in the legend; hover shows value and interval of
    ``unit``.
    """
    if (~(np.isnan(curve.low) | np.isnan(curve.high))).any():
        figure.add_trace(interval_band(x, curve, name, faded(style.colour, 0.14)))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=curve.value,
            customdata=np.stack([curve.low, curve.high], axis=1),
            mode="lines+markers",
            line={"color": style.colour, "dash": style.dash, "width": 2.4},
            marker={"size": 6, "symbol": style.symbol},
            name=safe(name),
            legendgroup=safe(name),
            hovertemplate=(
                f"layer %{{x}}<br>{unit} %{{y:.3f}} [%{{customdata[0]:.3f}}, "
                f"%{{customdata[1]:.3f}}]"
                "<extra>%{fullData.name}</extra>"
            ),
        )
    )


def diagonal(name: str, showlegend: bool = True) -> go.Scatter:
    """Return a dotted grey line from 0, 0 to 1, 1, with which curves are compared."""
    return go.Scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": GREY, "dash": "dot", "width": 1.4},
        name=name,
        legendgroup=name,
        showlegend=showlegend,
        hoverinfo="skip",
    )


def interval_band(
    x: NDArray[np.number], curve: IntervalCurve, name: str, colour: str
) -> go.Scatter:
    """Return the interval of a curve filled with ``colour``, where it is known; the legend joins it
    with the curve ``name``.
    """
    known = ~(np.isnan(curve.low) | np.isnan(curve.high))
    return go.Scatter(
        x=np.concatenate([x[known], x[known][::-1]]),
        y=np.concatenate([curve.high[known], curve.low[known][::-1]]),
        fill="toself",
        fillcolor=colour,
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
        legendgroup=safe(name),
        name=f"{safe(name)} (interval)",
    )


def add_level(
    figure: go.Figure, x: tuple[float, float], level: float, name: str, colour: str, dash: str
) -> None:
    """Add a horizontal reference line with a legend entry, so that it never collides with a
    label.
    """
    figure.add_trace(
        go.Scatter(
            x=list(x),
            y=[level, level],
            mode="lines",
            line={"color": colour, "dash": dash, "width": 1.6},
            name=safe(name),
            hovertemplate="%{fullData.name}: %{y:.3f}<extra></extra>",
        )
    )


def thinned(along: NDArray[np.float64], most: int = 800) -> NDArray[np.int64]:
    """Return the indices of at most about ``most`` points of a curve whose ``along`` [n] rises,
    evenly spread over it, both ends kept.
    """
    if len(along) <= most:
        return np.arange(len(along))
    at = np.searchsorted(along, np.linspace(along[0], along[-1], most))
    return np.unique(np.r_[0, np.minimum(at, len(along) - 1), len(along) - 1])


def reference_styles(
    names: Iterable[str], roles: Mapping[str, Role] = MappingProxyType({})
) -> dict[str, tuple[str, str]]:
    """Return colour and dash of horizontal reference lines: the colour of their role, never
    solid.
    """
    dashes = ("dot", "dash", "longdash", "dashdot", "longdashdot")
    return {
        name: (style.colour, dashes[i % len(dashes)])
        for i, (name, style) in enumerate(styles(names, roles).items())
    }


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    # ``new`` over ``old``, mappings within them likewise.
    merged = {**old, **new}
    for name in old.keys() & new.keys():
        if isinstance(old[name], Mapping) and isinstance(new[name], Mapping):
            merged[name] = _merged(old[name], new[name])
    return merged


def _lines(text: str, width: int) -> str:
    # A number stays on the line of its per cent sign: textwrap breaks at plain spaces only.
    unbroken = text.replace(" %", "\u00a0%")
    return "<br>".join(safe(line) for line in textwrap.wrap(unbroken, width))
