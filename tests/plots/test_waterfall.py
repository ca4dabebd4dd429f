from __future__ import annotations

import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots.waterfall import Panel, WaterfallFigure


def estimate(value: float, n: int = 100) -> Estimate:
    return Estimate(value, value - 0.05, value + 0.05, n)


PANEL = Panel(
    {"before answering": estimate(0.7), "the softmax": estimate(0.72), "text": estimate(0.45)},
    [estimate(-0.02), estimate(0.27)],
    1,
)


def test_bars_start_at_chance_and_the_largest_loss_is_written_out() -> None:
    figure = WaterfallFigure(
        panels={"before": PANEL, "after": PANEL}, title="T", caption="c"
    ).figure()
    bars, texts = figure.data[0], figure.data[1]
    assert list(bars.y) == pytest.approx([0.2, 0.22, -0.05])
    assert bars.base == 0.5
    assert len(set(bars.marker.color)) == 2
    assert bars.marker.color[2] != bars.marker.color[0]
    assert texts.text == ("+0.02", "<b>lost 0.27</b><br>[0.22, 0.32]")
    assert bars.x[0] == "before<br>answering"
    assert len(figure.data) == 4
    assert figure.layout.yaxis.range[0] < 0.4
    assert figure.layout.yaxis.range[1] > 0.77


def test_names_are_escaped() -> None:
    panel = Panel({"<b>a": estimate(0.6), "b": estimate(0.6)}, [estimate(0.0)], 0)
    figure = WaterfallFigure(panels={"x": panel}, title="T", caption="c").figure()
    assert figure.data[0].x[0] == "&lt;b&gt;a"


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one condition"):
        WaterfallFigure(panels={}, title="T", caption="c")
    with pytest.raises(WorkbenchError, match="a waterfall of 2 steps needs 1 losses"):
        Panel({"a": estimate(0.6), "b": estimate(0.6)}, [], 0)
