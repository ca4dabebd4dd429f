from __future__ import annotations

import math

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.baseline_costs import BaselineCosts, CostedBaseline, spread


def baseline(
    name: str, tokens: float, family: str = "answer", value: float = 0.7
) -> CostedBaseline:
    estimate = Estimate(value, value - 0.1, value + 0.2, 50)
    return CostedBaseline(name, family, tokens, estimate, Estimate(0.6, 0.5, 0.65, 50), 0.9)


def test_each_baseline_has_a_dot_in_either_panel_with_its_interval() -> None:
    figure = BaselineCosts(
        baselines=[
            baseline("a", 60),
            baseline("<b>b</b>", 900, "samples"),
            baseline("c", 90, "samples"),
        ],
        title="t",
        caption="c",
    ).figure()
    dots = [trace for trace in figure.data if trace.mode == "markers"]
    assert len(dots) == 6
    left = [dot for dot in dots if dot.showlegend]
    assert [dot.name for dot in left] == ["a", "&lt;b&gt;b&lt;/b&gt;", "c"]
    assert left[0].y[0] == 0.7
    assert left[0].error_y.array[0] == pytest.approx(0.2)
    assert left[0].error_y.arrayminus[0] == pytest.approx(0.1)
    assert left[1].customdata[0][2] == 900
    assert left[1].marker.color == left[2].marker.color != left[0].marker.color
    assert left[1].marker.symbol != left[2].marker.symbol
    assert {dot.y[0] for dot in dots if not dot.showlegend} == {0.6}
    assert figure.layout.xaxis.type == figure.layout.xaxis2.type == "log"


def test_dots_of_one_cost_are_moved_apart_around_it() -> None:
    places = spread([100, 1000, 100, 100])
    assert places[1] == pytest.approx(1000)
    assert len(set(places)) == 4
    middle = sum(math.log10(places[i]) for i in (0, 2, 3)) / 3
    assert middle == pytest.approx(2)
    assert max(places[i] for i in (0, 2, 3)) < 115


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one"):
        BaselineCosts(baselines=[], title="t", caption="c")
    with pytest.raises(WorkbenchError, match="name of its own"):
        BaselineCosts(baselines=[baseline("a", 1), baseline("a", 2)], title="t", caption="c")
    with pytest.raises(WorkbenchError, match="at least one token"):
        BaselineCosts(baselines=[baseline("a", 0)], title="t", caption="c")
