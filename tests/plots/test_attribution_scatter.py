import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots import AttributionScatter, ScatterGroup

RHO, SLOPE = Estimate(0.9, 0.8, 0.95, 4), Estimate(0.7, 0.6, 0.8, 4)


def test_points_diagonal_and_agreement() -> None:
    scores, effects = np.array([0.1, -0.3]), np.array([0.1, -0.2])
    groups = [
        ScatterGroup("mlp_out", kind, scores, effects, RHO, SLOPE) for kind in ("largest", "random")
    ]
    figure = AttributionScatter(groups=groups, floor=0.05, title="t", caption="c").figure()
    diagonal, largest, random = figure.data
    assert list(diagonal.x) == list(diagonal.y) == [-0.3, 0.3]
    assert np.array_equal(largest.x, scores)
    assert np.array_equal(largest.y, effects)
    assert largest.name == "mlp_out, largest: rho 0.90 [0.80, 0.95], slope 0.70 [0.60, 0.80]"
    assert largest.marker.color != random.marker.color
    assert largest.marker.symbol == random.marker.symbol
    (band,) = figure.layout.shapes
    assert (band.y0, band.y1) == (-0.05, 0.05)


def test_points_need_both_numbers() -> None:
    with pytest.raises(WorkbenchError, match="one length"):
        ScatterGroup("a", "b", np.zeros(2), np.zeros(3), RHO, SLOPE)
    with pytest.raises(WorkbenchError, match="at least one group"):
        AttributionScatter(groups=[], floor=0.0, title="t", caption="c")
