import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots import EstimateRow, EstimateRows
from workbench.plots.theme import BLUE, GREY


def test_rows_of_one_name_share_a_line() -> None:
    rows = [
        EstimateRow(group, name, Estimate(value, value - 0.1, value + 0.3, 5))
        for value, (group, name) in enumerate(
            [("early", "answer"), ("late", "answer"), ("late", "after <b>")]
        )
    ]
    figure = EstimateRows(rows=rows, axis="shift", title="t", caption="c", bound=0.1).figure()
    early, late = figure.data
    assert list(figure.layout.yaxis.ticktext) == ["answer", "after &lt;b&gt;"]
    assert list(late.x) == [1, 2]
    assert np.round(late.y).tolist() == [0, 1]
    assert early.y[0] < late.y[0]
    assert late.error_x.array == pytest.approx([0.3, 0.3])
    assert late.error_x.arrayminus == pytest.approx([0.1, 0.1])
    assert [shape.x0 for shape in figure.layout.shapes] == [0, 0.1]


def test_a_long_name_is_broken_into_lines_and_cut() -> None:
    name = "control: probes of shuffled grades there, and where 95 % of them lie at most"
    rows = [EstimateRow("a", name, Estimate(0, 0, 0, 1))]
    (label,) = (
        EstimateRows(rows=rows, axis="x", title="t", caption="c").figure().layout.yaxis.ticktext
    )
    lines = label.split("<br>")
    assert " ".join(lines) == "control: probes of shuffled grades there, and where 95 % of the…"
    assert [len(line) <= 36 for line in lines] == [True, True]


def test_a_row_given_twice_is_refused() -> None:
    row = EstimateRow("a", "b", Estimate(0, 0, 0, 1))
    for rows in ([row, row], []):
        with pytest.raises(WorkbenchError, match="name of its own"):
            EstimateRows(rows=rows, axis="x", title="t", caption="c")


def test_the_noise_floor_is_a_band_around_zero() -> None:
    row = EstimateRow("a", "b", Estimate(0, 0, 0, 1))
    band, zero = (
        EstimateRows(rows=[row], axis="x", title="t", caption="c", floor=0.02)
        .figure()
        .layout.shapes
    )
    assert (band.x0, band.x1, zero.x0) == (-0.02, 0.02, 0)
    with pytest.raises(WorkbenchError, match="at least 0"):
        EstimateRows(rows=[row], axis="x", title="t", caption="c", floor=-0.02)


def test_a_group_with_a_role_has_its_colour_alone_too() -> None:
    rows = [EstimateRow(group, "a", Estimate(0, 0, 0, 1)) for group in ("base", "taught")]

    def colours(rows: list[EstimateRow]) -> list[str]:
        drawn = EstimateRows(
            rows=rows, axis="x", title="t", caption="c", roles={"base": "before", "taught": "after"}
        )
        return [trace.marker.color for trace in drawn.figure().data]

    assert colours(rows) == [GREY, BLUE]
    assert colours(rows[:1]) == [GREY]
