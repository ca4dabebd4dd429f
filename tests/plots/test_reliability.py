import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval
from workbench.plots import Reliability


def test_points_intervals_and_ece() -> None:
    probability, correct = np.array([0.1, 0.3, 0.9, 1.0, 0.8, np.nan]), np.array([0, 1, 1, 1, 0, 0])
    figure = Reliability(groups={"<b>after</b>": (probability, correct)}, bins=2, title="t", caption="c").figure()
    diagonal, points = figure.data
    assert (list(diagonal.x), list(diagonal.y)) == ([0, 1], [0, 1])
    assert np.allclose(points.x, [0.2, 0.9])
    assert np.allclose(points.y, [0.5, 2 / 3])
    low, high = wilson_interval([1, 2], [2, 3])
    assert np.allclose(points.y + points.error_y.array, high)
    assert np.allclose(points.y - points.error_y.arrayminus, low)
    assert points.customdata[:, 0].tolist() == [2, 3]
    assert points.marker.size[1] > points.marker.size[0]
    # |.4 - 1| and |2.7 - 2| over five parsed answers.
    assert points.name == "&lt;b&gt;after&lt;/b&gt; (ECE 0.260)"


def test_empty_bins_are_not_drawn() -> None:
    figure = Reliability(groups={"a": (np.array([0.95]), np.array([1]))}, bins=10, title="t", caption="c").figure()
    assert figure.data[1].x.tolist() == [0.95]


def test_percentages_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="divide percentages"):
        Reliability(groups={"a": (np.array([95.0]), np.array([1]))}, bins=10, title="t", caption="c")
