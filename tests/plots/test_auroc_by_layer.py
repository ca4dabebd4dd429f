import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots import AurocByLayer
from workbench.plots.theme import BLUE, GREY

CURVE = IntervalCurve(np.array([0.6, 0.8]), np.array([0.5, 0.7]), np.array([0.7, 0.9]))


def test_curves_bands_references_and_chance() -> None:
    figure = AurocByLayer(
        layers=np.array([3, 7]),
        series={"before": CURVE, "after": CURVE},
        references={"text <i>before</i>": 0.551},
        roles={"before": "before", "after": "after", "text <i>before</i>": "before"},
        title="t",
        caption="c",
    ).figure()
    traces = {trace.name: trace for trace in figure.data}
    assert list(traces["chance"].y) == [0.5, 0.5]
    assert list(traces["chance"].x) == [3, 7]
    assert traces["before"].y.tolist() == [0.6, 0.8]
    assert traces["before"].x.tolist() == [3, 7]
    assert traces["before"].customdata.tolist() == [[0.5, 0.7], [0.7, 0.9]]
    assert traces["before (interval)"].y.tolist() == [0.7, 0.9, 0.7, 0.5]
    assert (traces["before"].line.color, traces["after"].line.color) == (GREY, BLUE)
    reference = traces["text &lt;i&gt;before&lt;/i&gt; 0.551"]
    assert list(reference.y) == [0.551, 0.551]
    assert reference.line.dash != "solid"
    assert reference.line.color == GREY


def test_a_curve_of_another_length_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="2 points for 3 layers"):
        AurocByLayer(
            layers=np.arange(3), series={"a": CURVE}, references={}, title="t", caption="c"
        )
