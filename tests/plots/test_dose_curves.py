from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.dose_curves import DoseCurves, DosePanel


def estimates(*values: float) -> list[Estimate]:
    return [Estimate(value, value - 0.1, value + 0.2, 12) for value in values]


def test_the_band_spans_the_random_sets_and_lines_stand_beside() -> None:
    panel = DosePanel(
        [1, 4],
        {"ablation": estimates(0.5, -1), "direct": estimates(0.6, 0.2)},
        [np.array([0.9, 1.0, 1.3]), np.array([0.2, 0.8, 0.9])],
        1.1,
    )
    figure = DoseCurves(panels={"before": panel}, x="n", y="m", title="T", caption="c").figure()
    band, median, ablation, direct = figure.data
    assert list(band.y) == [1.3, 0.9, 0.2, 0.9]
    assert list(band.x) == [1, 4, 4, 1]
    assert list(median.y) == [1.0, 0.8]
    assert list(ablation.y) == [0.5, -1]
    assert direct.x[0] > 1 > ablation.x[0]
    assert figure.layout.xaxis.type == "log"
    assert {shape.y0 for shape in figure.layout.shapes} == {0, 1.1}


def test_curves_of_different_sizes_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="estimate at every size"):
        DosePanel([1, 2], {"a": estimates(1)}, [np.ones(3)] * 2, 0)
    with pytest.raises(WorkbenchError, match="at least one condition"):
        DoseCurves(panels={}, x="", y="", title="", caption="")
