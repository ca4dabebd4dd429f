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
    # What is the same for every point is asked once: a figure's attributes are slow to read.
    panel, bands = panels[_axes(trace)], _band(figure, trace)
    along_x = trace.error_x.array is not None
    bars = trace.error_x if along_x else trace.error_y
    ups = bars.array
    downs = ups if bars.arrayminus is None else bars.arrayminus
    x_ticks, y_ticks = _ticks(figure, trace, "x"), _ticks(figure, trace, "y")
    for at, (x, y) in enumerate(zip(trace.x, trace.y, strict=True)):
        if _missing(x) or _missing(y):
            continue
        value = x if along_x else y
        error = (None, None) if ups is None else (value - downs[at], value + ups[at])
        low, high = bands.get(x, error)
        place = _ticked(x_ticks, x), _ticked(y_ticks, y)
        yield panel, name, *place, _text(low), _text(high)


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


def _ticks(figure: go.Figure, trace: Any, axis: str) -> list[tuple[Any, str]]:
    """Return the places of an axis's ticks and their words; none where they have no words."""
    name = getattr(trace, f"{axis}axis") or axis
    look = figure.layout[f"{axis}axis{name[1:]}"]
    words, places = look.ticktext, look.tickvals
    if words is None or places is None or not all(_number(at) for at in places):
        return []
    return [(at, plain(word)) for at, word in zip(places, words, strict=False)]


def _ticked(ticks: Sequence[tuple[Any, str]], value: Any) -> str:
    """Return a coordinate as its axis shows it: under the words of the nearest tick where its ticks
    have words.
    """
    if not ticks or not _number(value):
        return _text(value)
    return min(ticks, key=lambda tick: abs(tick[0] - value))[1]


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
        [_ticked(ticks, at) for at in (range(n) if given is None else given)]
        for ticks, given, n in (
            (_ticks(figure, trace, "x"), trace.x, z.shape[1]),
            (_ticks(figure, trace, "y"), trace.y, z.shape[0]),
        )
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
