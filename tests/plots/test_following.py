from dataclasses import replace

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots import FollowingCurve

DONOR = IntervalCurve(
    np.array([0.0, 0.6, 1.0]), np.array([-0.1, 0.5, 0.9]), np.array([0.1, 0.7, 1.1])
)
BASE = IntervalCurve(1 - DONOR.value, 1 - DONOR.high, 1 - DONOR.low)


def drawn(half_layer: int | None) -> FollowingCurve:
    return FollowingCurve(
        layers=np.array([2, 4, 6]),
        donor_slope=DONOR,
        base_slope=BASE,
        half_layer=half_layer,
        noise_floor=0.02,
        title="t",
        caption="c",
    )


def test_both_slopes_and_the_half_layer() -> None:
    figure = drawn(4).figure()
    traces = {trace.name: trace for trace in figure.data}
    assert traces["slope on the donor's readout"].y.tolist() == [0.0, 0.6, 1.0]
    assert np.allclose(traces["slope on the base's readout"].y, [1.0, 0.4, 0.0])
    vertical = [shape for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert [shape.x0 for shape in vertical] == [4]
    (band,) = [shape for shape in figure.layout.shapes if shape.type == "rect"]
    assert (band.y0, band.y1) == (-0.02, 0.02)
    assert "noise floor 0.02" in figure.layout.title.subtitle.text
    assert figure.layout.annotations[0].text.endswith("layer 4")


def test_no_line_when_half_is_never_reached() -> None:
    figure = drawn(None).figure()
    assert not [shape for shape in figure.layout.shapes if shape.x0 == shape.x1]
    assert not figure.layout.annotations


def test_an_unknown_floor_is_not_written() -> None:
    figure = replace(drawn(4), noise_floor=float("nan")).figure()
    assert figure.layout.title.subtitle.text == "c"


def test_half_layer_must_be_drawn() -> None:
    with pytest.raises(WorkbenchError, match="half_layer 5"):
        drawn(5)
