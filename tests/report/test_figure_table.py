from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.measure.interval import IntervalCurve
from workbench.plots import AurocByLayer
from workbench.report.figure_table import figure_tables

NAN = float("nan")


def test_points_have_their_error_bars_and_gaps_are_left_out() -> None:
    bars = {"type": "data", "array": [0.25, 0.0, 0.0], "arrayminus": [0.125, 0.0, 0.0]}
    figure = go.Figure(go.Scatter(x=[1, 2, 3], y=[0.5, NAN, 0.75], name="a <b>", error_y=bars))
    figure.update_layout(xaxis_title="layer", yaxis_title="<i>AUROC2</i>")
    (table,) = figure_tables(figure)
    assert table.heads == ("series", "layer", "AUROC2", "low", "high")
    assert table.rows == (("a", "1", "0.5", "0.375", "0.75"), ("a", "3", "0.75", "0.75", "0.75"))


def test_a_curve_has_the_interval_that_is_drawn_around_it() -> None:
    curve = IntervalCurve(np.array([0.5, 0.6]), np.array([0.4, NAN]), np.array([0.7, NAN]))
    figure = AurocByLayer(
        layers=np.array([0, 5]),
        series={"probe": curve},
        references={},
        roles={"probe": "probe"},
        title="t",
        caption="c",
    ).figure()
    (table,) = figure_tables(figure)
    probe = [row for row in table.rows if row[0] == "probe"]
    assert probe == [("probe", "0", "0.5", "0.4", "0.7"), ("probe", "5", "0.6", "", "")]


def test_panels_and_ticks_with_words_are_named() -> None:
    figure = make_subplots(rows=1, cols=2, subplot_titles=["left", "right"])
    for column in (1, 2):
        trace = go.Scatter(x=[0.25 * column], y=[0.9], name="before")
        figure.add_trace(trace, row=1, col=column)
    figure.update_yaxes(tickvals=[0, 1], ticktext=["stated", "expected"])
    (table,) = figure_tables(figure)
    assert table.rows == (
        ("left", "before", "0.25", "expected"),
        ("right", "before", "0.5", "expected"),
    )


def test_a_map_is_a_row_a_line_of_cells_and_its_marks_are_left_out() -> None:
    figure = go.Figure(
        [
            go.Heatmap(z=[[0.0, -0.00004], [NAN, 1.5]], x=[3, 4], y=["one", "two"]),
            go.Scatter(x=[3], y=["one"], name="mark", mode="markers"),
        ]
    )
    (table,) = figure_tables(figure)
    assert table.heads == ("", "3", "4")
    assert table.rows == (("one", "0", "-4.0e-05"), ("two", "", "1.5"))


def test_a_figure_without_points_has_no_table() -> None:
    assert figure_tables(go.Figure()) == []


def test_a_long_table_says_how_much_is_left_out() -> None:
    figure = go.Figure(go.Scatter(x=np.arange(2500), y=np.arange(2500), name="long"))
    (table,) = figure_tables(figure)
    assert (len(table.rows), table.left_out) == (2000, 500)
