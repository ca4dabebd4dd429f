from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.plots import LearningCurve, LearningCurves


def test_the_line_is_the_mean_of_the_last_tenth_of_the_steps() -> None:
    curve = LearningCurve(np.arange(1, 21), np.arange(20))
    assert curve.smoothed() == pytest.approx([0, *(np.arange(1, 20) - 0.5)])
    assert LearningCurve(np.array([3.0]), np.array([-15.0])).smoothed().tolist() == [-15]


def test_points_are_faint_and_names_are_escaped() -> None:
    curve = LearningCurve(np.array([10, 30, 40]), np.array([1.0, 3.0, 2.0]))
    figure = LearningCurves(
        curves={"grpo <b>": curve, "log": curve}, title="t", caption="<i>"
    ).figure()
    points, line, *_ = figure.data
    assert (line.name, line.legendgroup) == ("grpo &lt;b&gt;", points.legendgroup)
    assert points.marker.opacity < 0.5
    assert list(points.y) == [1, 3, 2]
    assert list(line.x) == [10, 30, 40]
    assert figure.layout.xaxis.type == "log"
    assert "<i>" not in figure.layout.title.subtitle.text


def test_tokens_rise_and_match_rewards() -> None:
    for tokens in ([1, 2], [0, 1, 2], [1, 3, 3]):
        with pytest.raises(WorkbenchError, match="learning curve"):
            LearningCurve(np.array(tokens), np.ones(3))
    with pytest.raises(WorkbenchError, match="at least one"):
        LearningCurves(curves={}, title="", caption="")
