import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import RiskCoverageCurve

CONFIDENCE = np.array([3, 2, 2, 1, np.nan])
CORRECT = np.array([1, 1, 0, 0, 1], dtype=bool)


def test_points_and_the_expectation_between_them() -> None:
    figure = RiskCoverageCurve(
        groups={"<i>a</i>": (CONFIDENCE, CORRECT)}, title="t", caption="c"
    ).figure()
    line, points = figure.data
    assert np.allclose(points.x, [25, 75, 100])
    assert np.allclose(points.y, [0, 100 / 3, 50])
    # At half coverage one of the tied two is accepted: half an error in two.
    assert np.isclose(np.interp(50, line.x, line.y), 25)
    # Expected risks of the first k: 0, .5/2, 1/3, 2/4.
    assert line.name == f"&lt;i&gt;a&lt;/i&gt; (AURC {(0.25 + 1 / 3 + 0.5) / 4:.3f})"
    assert figure.layout.showlegend


def test_many_confidences_are_a_line_only() -> None:
    confidence = np.random.default_rng(0).random(5000)
    figure = RiskCoverageCurve(
        groups={"a": (confidence, confidence > 0.3)}, title="t", caption="c"
    ).figure()
    assert len(figure.data) == 1
    assert len(figure.data[0].x) < 1100


def test_nothing_parsed() -> None:
    figure = RiskCoverageCurve(
        groups={"a": (np.array([np.nan]), np.array([True]))}, title="t", caption="c"
    ).figure()
    assert "nothing parsed" in figure.data[0].name
    with pytest.raises(WorkbenchError, match="at least one group"):
        RiskCoverageCurve(groups={}, title="t", caption="c")
