import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots import ReadoutComparison, ReadoutRow

UNKNOWN = Estimate(float("nan"), float("nan"), float("nan"), 0)
ROWS = [
    ReadoutRow("text", "before", Estimate(0.55, 0.5, 0.61, 40), Estimate(0.52, 0.45, 0.6, 40)),
    ReadoutRow("<i>probe</i>", "before", Estimate(0.89, 0.85, 0.92, 40), UNKNOWN),
    ReadoutRow("text", "after", Estimate(0.85, 0.8, 0.9, 40), Estimate(0.75, 0.7, 0.8, 40)),
]


def test_panels_hold_values_and_intervals() -> None:
    figure = ReadoutComparison(rows=ROWS, title="t", caption="c").figure()
    pooled_before, pooled_after, within_before, _ = figure.data
    assert list(pooled_before.x) == [0.55, 0.89]
    assert np.allclose(pooled_before.error_x.array, [0.06, 0.03])
    assert np.allclose(pooled_before.error_x.arrayminus, [0.05, 0.04])
    assert list(pooled_after.x) == [0.85]
    assert within_before.x[0] == 0.52
    assert (pooled_before.xaxis, within_before.xaxis) == ("x", "x2")
    assert pooled_before.showlegend
    assert not within_before.showlegend


def test_conditions_of_one_readout_sit_apart_around_its_tick() -> None:
    figure = ReadoutComparison(rows=ROWS, title="t", caption="c").figure()
    before, after = figure.data[0], figure.data[1]
    assert np.isclose((before.y[0] + after.y[0]) / 2, 0)
    assert before.y[0] < after.y[0]
    assert list(figure.layout.yaxis.ticktext) == ["text", "&lt;i&gt;probe&lt;/i&gt;"]


def test_unknown_values_do_not_break_the_axis() -> None:
    low, high = ReadoutComparison(rows=ROWS, title="t", caption="c").figure().layout.xaxis.range
    assert low == pytest.approx(0.43)
    assert high == pytest.approx(0.94)


def test_two_rows_for_one_cell_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="two rows"):
        ReadoutComparison(rows=[ROWS[0], ROWS[0]], title="t", caption="c")
