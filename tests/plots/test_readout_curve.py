import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots.readout_curve import ReadoutCurve
from workbench.plots.theme import BLUE

NONE = np.full(3, np.nan)


def drawn(**changes: object) -> ReadoutCurve:
    value = np.array([1.0, 2.0, 4.0])
    options: dict[str, object] = {
        "axis": "layer",
        "labels": ["0–1", "1–2", "2–3"],
        "curves": {
            "donor": (["0–1", "1–2", "2–3"], value, value - 0.5, value + 0.5),
            "random_vector": (["0–1", "2–3"], value[:2], NONE[:2], NONE[:2]),
        },
        "base": 1.0,
        "donor": 4.0,
        "floor": 0.25,
        "unit": "logit difference",
        "title": "t",
        "caption": "n = 3",
    }
    return ReadoutCurve(**(options | changes))  # type: ignore[arg-type]


def test_curves_stand_at_their_labels() -> None:
    figure = drawn().figure()
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["donor"].x) == [0, 1, 2]
    assert list(traces["random vector"].x) == [0, 2]
    assert traces["donor"].line.color == BLUE
    assert traces["random vector"].line.color != BLUE
    assert list(figure.layout.xaxis.ticktext) == ["0–1", "1–2", "2–3"]
    assert list(traces["donor (interval)"].y) == [1.5, 2.5, 4.5, 3.5, 1.5, 0.5]
    assert "random vector (interval)" not in traces


def test_reference_lines_and_the_noise_floor() -> None:
    figure = drawn().figure()
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["unpatched"].y) == [1.0, 1.0]
    assert list(traces["donor's own run"].y) == [4.0, 4.0]
    band = figure.layout.shapes[0]
    assert (band.y0, band.y1) == (0.75, 1.25)
    bare = drawn(floor=float("nan"), donor=None).figure()
    assert not bare.layout.shapes
    assert "donor's own run" not in [trace.name for trace in bare.data]


def test_a_curve_that_does_not_fit_is_refused() -> None:
    for curve in ((["0–1"], NONE, NONE, NONE), (["7"] * 3, NONE, NONE, NONE)):
        with pytest.raises(WorkbenchError, match="does not fit the labels"):
            drawn(curves={"donor": curve})
