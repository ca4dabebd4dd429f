from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.curve_panels import Curve, CurvePanels

LAYERS = np.arange(3)


def panels(**given: object) -> CurvePanels:
    curves = {
        "one <b>": [Curve("a0", "a", np.array([0.0, 0.5, 1.0])), Curve("b0", "b", LAYERS / 4)],
        "two": [Curve("a1", "a", LAYERS / 2)],
        "three": [Curve("b1", "b", LAYERS / 3)],
    }
    return CurvePanels(
        **{"layers": LAYERS, "panels": curves, "y": "shift", "title": "t", "caption": "c", **given}  # type: ignore[arg-type]
    )


def test_every_curve_is_drawn_once_and_each_group_named_once() -> None:
    figure = panels().figure()
    assert [list(trace.y) for trace in figure.data] == [
        [0.0, 0.5, 1.0],
        [0.0, 0.25, 0.5],
        [0.0, 0.5, 1.0],
        pytest.approx([0.0, 1 / 3, 2 / 3]),
    ]
    assert [trace.name for trace in figure.data if trace.showlegend] == ["a", "b"]
    by_group: dict[str, set[str]] = {}
    for trace in figure.data:
        by_group.setdefault(trace.name, set()).add(trace.line.color)
    assert all(len(colours) == 1 for colours in by_group.values())
    assert by_group["a"] != by_group["b"]


def test_faint_groups_are_thin_and_grey_below_the_others() -> None:
    curves = [Curve("r0", "random", LAYERS / 3), Curve("a", "a", LAYERS / 2)]
    figure = panels(panels={"one": [*curves, Curve("r1", "random", LAYERS)]}, faint=["random"])
    drawn = figure.figure().data
    assert [trace.name for trace in drawn] == ["random", "random", "a"]
    assert [trace.line.dash for trace in drawn] == ["dot", "dot", None]
    assert drawn[0].line.color == drawn[1].line.color != drawn[2].line.color
    assert drawn[0].line.width < drawn[2].line.width
    assert [trace.mode for trace in drawn] == ["lines", "lines", "lines+markers"]


def test_six_groups_have_six_colours() -> None:
    curves = [Curve(name, name, LAYERS / 2) for name in "abcdef"]
    figure = panels(panels={"one": curves}).figure()
    assert len({trace.line.color for trace in figure.data}) == 6


def test_few_places_are_ticked_and_many_are_not() -> None:
    places = np.array([4, 11, 29])
    few = panels(layers=places).figure()
    assert list(few.layout.xaxis.tickvals) == [4, 11, 29]
    many = panels(
        layers=np.arange(30), panels={"one": [Curve("a", "a", np.arange(30) / 30)]}
    ).figure()
    assert many.layout.xaxis.tickvals is None


def test_levels_are_drawn_through_every_panel() -> None:
    shapes = panels(levels=(0.25,)).figure().layout.shapes
    assert [shape.y0 for shape in shapes] == [0.25] * 3
    assert len({shape.yref for shape in shapes}) == 3


def test_titles_are_escaped() -> None:
    assert "one &lt;b&gt;" in {note.text for note in panels().figure().layout.annotations}


def test_a_curve_of_another_length_and_no_curve_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="'a0' of panel 'x'"):
        panels(panels={"x": [Curve("a0", "a", np.zeros(2))]})
    with pytest.raises(WorkbenchError, match="at least one curve"):
        panels(panels={"x": []})


def test_the_lowest_panel_of_each_column_carries_the_axis() -> None:
    figure = panels(x="place").figure()
    named = [
        axis.title.text == "place"
        for axis in (figure.layout.xaxis, figure.layout.xaxis2, figure.layout.xaxis3)
    ]
    assert named == [False, True, True]
    assert figure.layout.xaxis2.showticklabels
