from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.window_sweep import WindowPanel, WindowSweep


def curve(*values: float) -> IntervalCurve:
    middle = np.array(values)
    return IntervalCurve(middle, middle - 0.1, middle + 0.1)


def sweep(**panels: WindowPanel) -> WindowSweep:
    return WindowSweep(
        firsts=np.array([0, 1, 2]),
        width=4,
        panels=panels,
        unit="confidence lost",
        title="Cut",
        caption="two questions",
    )


def test_curves_stand_over_the_middle_of_their_window() -> None:
    figure = sweep(
        answer=WindowPanel(curve(0, -1, -2), curve(0, 0, 0)), other=WindowPanel(curve(1, 1, 1))
    ).figure()
    lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
    assert [list(line.x) for line in lines] == [[1.5, 2.5, 3.5]] * 3
    assert [line.name for line in lines] == ["as many other tokens", "these tokens", "these tokens"]
    assert list(lines[1].y) == [0, -1, -2]
    assert [line.showlegend for line in lines] == [True, True, False]
    assert {line.xaxis for line in lines} == {"x", "x2"}
    assert figure.layout.yaxis.title.text == "confidence lost"


def test_curves_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="2 points for 3 windows"):
        sweep(answer=WindowPanel(curve(0, 1, 2), curve(0, 1)))
    with pytest.raises(WorkbenchError, match="at least one set"):
        sweep()
