import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import wilson_interval
from workbench.plots import Reliability


def test_points_intervals_and_ece() -> None:
    probability, correct = np.array([0.1, 0.3, 0.9, 1.0, 0.8, np.nan]), np.array([0, 1, 1, 1, 0, 0])
    figure = Reliability(
        panels={"": {"<b>after</b>": (probability, correct)}}, bins=2, title="t", caption="c"
    ).figure()
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
    figure = Reliability(
        panels={"": {"a": (np.array([0.95]), np.array([1]))}}, bins=10, title="t", caption="c"
    ).figure()
    assert figure.data[1].x.tolist() == [0.95]


def test_percentages_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="divide percentages"):
        Reliability(
            panels={"": {"a": (np.array([95.0]), np.array([1]))}}, bins=10, title="t", caption="c"
        )


def test_a_group_has_one_colour_and_one_line_in_the_legend_whatever_panels_it_stands_in() -> None:
    right = np.array([1, 0])
    said, expected = (np.array([0.9, 0.9]), right), (np.array([0.75, 0.25]), right)
    panels = {"text": {"before": said}, "expected": {"before": expected, "head": expected}}
    figure = Reliability(panels=panels, bins=2, title="t", caption="c").figure()
    assert [note.text for note in figure.layout.annotations[:2]] == ["text", "expected"]
    drawn = [
        (trace.name, trace.xaxis, trace.showlegend) for trace in figure.data if "ECE" in trace.name
    ]
    assert drawn == [
        ("before (ECE 0.400 | 0.250)", "x", True),
        ("before (ECE 0.400 | 0.250)", "x2", False),
        ("head (ECE - | 0.250)", "x2", True),
    ]
    assert figure.data[1].line.color == figure.data[3].line.color != figure.data[4].line.color


def test_a_panel_without_a_group_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one group in each panel"):
        Reliability(panels={"text": {}}, bins=2, title="t", caption="c")
