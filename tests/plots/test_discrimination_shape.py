import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import Estimate
from workbench.plots import DiscriminationShape, ShapePoint

BEFORE = ShapePoint("before", Estimate(0.45, 0.40, 0.52, 90), 0.8, 0.05, 4.5)
TAUGHT = ShapePoint("<b>seed 0</b>", Estimate(0.8, 0.7, 0.9, 90), 0.4, 0.2, 3.0)


def drawn(*points: ShapePoint) -> DiscriminationShape:
    return DiscriminationShape(points=points, title="t", caption="c", roles={"before": "before"})


def test_each_point_has_one_height_and_three_places() -> None:
    figure = drawn(BEFORE, TAUGHT).figure()
    taught = [trace for trace in figure.data if "seed 0" in trace.name]
    assert [list(trace.x) for trace in taught] == [[0.4], [0.2], [3.0]]
    assert [list(trace.y) for trace in taught] == [[0.8]] * 3
    assert taught[0].error_y.array[0] == pytest.approx(0.1)
    assert taught[0].error_y.arrayminus[0] == pytest.approx(0.1)
    assert [trace.showlegend for trace in taught] == [True, False, False]
    assert taught[0].name == "&lt;b&gt;seed 0&lt;/b&gt;"
    assert [(shape.yref, shape.y0) for shape in figure.layout.shapes] == [
        (axis, 0.5) for axis in ("y", "y2", "y3")
    ]
    axes = [figure.layout[f"xaxis{number}"].title.text for number in ("", "2", "3")]
    assert axes == ["mean expected confidence", "its sd over questions", "entropy, bits"]


def test_names_are_told_apart() -> None:
    for points in ((), (TAUGHT, TAUGHT)):
        with pytest.raises(WorkbenchError, match="a name of its own"):
            drawn(*points)


def test_spread_and_entropy_cannot_be_negative() -> None:
    with pytest.raises(WorkbenchError, match=r"'before' has -0\.1 and 4\.5"):
        drawn(ShapePoint("before", BEFORE.auroc2, 0.8, -0.1, 4.5))
