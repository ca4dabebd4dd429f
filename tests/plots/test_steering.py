from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.steering import SteeringCurves, SteeringLine

STILL = (0.0, 0.0, 0.0)


def curve(*values: float) -> IntervalCurve:
    value = np.asarray(values)
    return IntervalCurve(value, value - 0.1, value + 0.1)


def line(direction: str, layer: int) -> SteeringLine:
    return SteeringLine(
        direction, layer, curve(0.2, 0.5, 0.9), curve(0.6, 0.6, 0.7), curve(np.nan, 0.5, 0.5)
    )


def test_three_panels_one_line_a_layer_and_direction() -> None:
    figure = SteeringCurves(
        lengths=np.asarray([-1.0, 0.0, 1.0]),
        lines=[line("along", 3), line("along", 7), line("random", 3)],
        floors=(0.05, 0.01, np.nan),
        title="t",
        caption="c",
    ).figure()
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert len(lines) == 9
    assert [trace.name for trace in lines if trace.showlegend] == [
        "along, layer 3",
        "along, layer 7",
        "random, layer 3",
    ]
    assert list(lines[0].y) == [0.2, 0.5, 0.9]
    assert list(lines[0].x) == [-1, 0, 1]
    assert lines[0].line.color == lines[3].line.color != lines[6].line.color
    assert lines[0].line.dash == lines[6].line.dash != lines[3].line.dash
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(bands[2].x) == 4
    assert [
        (round(shape.y0, 2), round(shape.y1, 2))
        for shape in figure.layout.shapes
        if shape.type == "rect"
    ] == [
        (0.45, 0.55),
        (0.59, 0.61),
    ]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="ascending"):
        SteeringCurves(
            lengths=np.asarray([1.0, 0.0, 2.0]),
            lines=[line("a", 1)],
            floors=STILL,
            title="t",
            caption="c",
        )
    with pytest.raises(WorkbenchError, match="one value per length"):
        SteeringCurves(
            lengths=np.asarray([0.0, 1.0]),
            lines=[line("a", 1)],
            floors=STILL,
            title="t",
            caption="c",
        )
    with pytest.raises(WorkbenchError, match="once"):
        SteeringCurves(
            lengths=np.asarray([0.0, 1.0, 2.0]),
            lines=[line("a", 1)] * 2,
            floors=STILL,
            title="t",
            caption="c",
        )
    with pytest.raises(WorkbenchError, match="length 0"):
        SteeringCurves(
            lengths=np.asarray([-1.0, 1.0, 2.0]),
            lines=[line("a", 1)],
            floors=STILL,
            title="t",
            caption="c",
        )
    with pytest.raises(WorkbenchError, match="at least 0"):
        SteeringCurves(
            lengths=np.asarray([0.0, 1.0, 2.0]),
            lines=[line("a", 1)],
            floors=(-1, 0, 0),
            title="t",
            caption="c",
        )
