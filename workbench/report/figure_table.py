"""Read the numbers of a figure back as a table: what a screen reader, a printer or a doubter gets
in place of the picture.

A row is a point: panel and series where the figure has several, its place, its value, and its
interval where it has one. A heat map becomes one row a line of cells. Numbers have as many digits
as a page needs, so a table is no source for computing: the files of numbers beside the page are.
Decoration (levels, diagonals, points without a name) is left out, and so are gaps.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import unescape
from typing import Any

import numpy as np
import plotly.graph_objects as go

INTERVAL = " (interval)"
"""How the name of a band's trace ends, after the name of its curve."""

_TAG = re.compile(r"<[^>]*>")
_MOST_ROWS = 2000
SMALLEST = 0.0005
"""The smallest number that is written without an exponent."""


@dataclass(frozen=True)
class FigureTable:
    """The numbers of a figure: column heads, and rows of text.

    Attributes:
        left_out: rows beyond the most that a page shows.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left_out: int = 0


def figure_tables(figure: go.Figure) -> list[FigureTable]:
    """Return the tables of a figure: one of its points, and one for each heat map."""
    if maps := [trace for trace in figure.data if trace.type == "heatmap"]:
        # Points on a map are marks on its cells.
        return [table for trace in maps if (table := _cells(figure, trace)).rows]
    panels = _panels(figure)
    points = [trace for trace in figure.data if trace.type in ("scatter", "bar")]
    rows = [row for trace in points for row in _point_rows(figure, trace, panels)]
    heads = ("panel", "series", *_axis_names(figure), "low", "high")
    return [_table(heads, rows)] if rows else []


def plain(text: Any) -> str:
    """Return a label of a figure as plain text: without markup, entities resolved, on one line."""
    return " ".join(unescape(_TAG.sub(" ", str(text or ""))).split())


def _point_rows(
    figure: go.Figure, trace: Any, panels: dict[tuple[str, str], str]
) -> Iterator[tuple[str, ...]]:
    name = plain(trace.name)
    if not name or name.endswith(INTERVAL) or trace.x is None or trace.y is None:
        return
    bands = _band(figure, trace)
    along_x = trace.error_x.array is not None
    for at, (x, y) in enumerate(zip(trace.x, trace.y, strict=True)):
        if _missing(x) or _missing(y):
            continue
        low, high = _error(trace.error_x if along_x else trace.error_y, at, x if along_x else y)
        low, high = bands.get(x, (low, high))
        place = _ticked(figure, trace, "x", x), _ticked(figure, trace, "y", y)
        yield panels[_axes(trace)], name, *place, _text(low), _text(high)


def _error(bars: Any, at: int, value: Any) -> tuple[Any, Any]:
    if bars.array is None:
        return None, None
    up = bars.array[at]
    down = up if bars.arrayminus is None else bars.arrayminus[at]
    return value - down, value + up


def _band(figure: go.Figure, trace: Any) -> dict[Any, tuple[Any, Any]]:
    """Return the interval of a curve by its place, read off the band that is filled around it: its
    upper bounds from the left, then its lower ones from the right.
    """
    for band in figure.data:
        ours = _axes(band) == _axes(trace) and plain(band.name) == plain(trace.name) + INTERVAL
        if band.type == "scatter" and band.fill == "toself" and ours:
            n = len(band.x) // 2
            pairs = zip(band.y[:n], reversed(band.y[n:]), strict=True)
            return {x: (low, high) for x, (high, low) in zip(band.x[:n], pairs, strict=True)}
    return {}


def _ticked(figure: go.Figure, trace: Any, axis: str, value: Any) -> str:
    """Return a coordinate as its axis shows it: under the words of the nearest tick where its ticks
    have words.
    """
    name = getattr(trace, f"{axis}axis") or axis
    look = figure.layout[f"{axis}axis{name[1:]}"]
    words, places = look.ticktext, look.tickvals
    if words is None or places is None or not all(_number(at) for at in (*places, value)):
        return _text(value)
    return plain(words[min(range(len(places)), key=lambda at: abs(places[at] - value))])


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.number)


def _axes(trace: Any) -> tuple[str, str]:
    return trace.xaxis or "x", trace.yaxis or "y"


def _panels(figure: go.Figure) -> dict[tuple[str, str], str]:
    """Return the name of each panel, "" of a single one: its title, or else its number. Titles of
    panels are the first notes of a figure, in the order of its panels.
    """
    axes = list(dict.fromkeys(_axes(trace) for trace in figure.data if trace.type != "heatmap"))
    if len(axes) < 2:
        return dict.fromkeys(axes, "")
    notes = [note for note in figure.layout.annotations if note.xref == "paper"]
    titles = [plain(note.text) for note in notes if not note.showarrow]
    whole = len(titles) >= len(axes)
    return {axis: titles[at] if whole else str(at + 1) for at, axis in enumerate(axes)}


def _axis_names(figure: go.Figure) -> tuple[str, str]:
    """Return the titles of the axes: that of any panel, for panels of one figure share them."""

    def first(axes: Iterable[Any], other: str) -> str:
        return next((name for axis in axes if (name := plain(axis.title.text))), other)

    return first(figure.select_xaxes(), "x"), first(figure.select_yaxes(), "y")


def _cells(figure: go.Figure, trace: Any) -> FigureTable:
    z = np.asarray(trace.z, dtype=float)
    columns, names = (
        [_ticked(figure, trace, axis, at) for at in (range(n) if given is None else given)]
        for axis, given, n in (("x", trace.x, z.shape[1]), ("y", trace.y, z.shape[0]))
    )
    rows = [(name, *(_text(value) for value in line)) for name, line in zip(names, z, strict=True)]
    return FigureTable(("", *columns), tuple(rows))


def _table(heads: Sequence[str], rows: list[tuple[str, ...]]) -> FigureTable:
    """Return the table without the columns in which every row has nothing."""
    kept = [at for at in range(len(heads)) if any(row[at] for row in rows)]
    shown = tuple(tuple(row[at] for at in kept) for row in rows[:_MOST_ROWS])
    return FigureTable(tuple(heads[at] for at in kept), shown, max(0, len(rows) - _MOST_ROWS))


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | np.floating) and math.isnan(value))


def _text(value: Any) -> str:
    if _missing(value):
        return ""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, int | np.integer):
        return str(value)
    number = float(value)
    if 0 < abs(number) < SMALLEST:
        return f"{number:.1e}"
    return f"{number:.3f}".rstrip("0").rstrip(".").replace("-0", "0", number == 0)
