from __future__ import annotations

import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure.interval import IntervalCurve
from workbench.plots.random_ranges import RandomRangeRow, RandomRanges

LAYERS = np.arange(3)
CURVE = IntervalCurve(LAYERS / 4, LAYERS / 8 - 0.1, LAYERS / 8 + 0.1)
BARE = IntervalCurve(LAYERS / 5, np.full(3, np.nan), np.full(3, np.nan))


def ranges(*rows: RandomRangeRow) -> RandomRanges:
    return RandomRanges(layers=LAYERS, rows=rows, title="t", caption="c")


def row(y: str = "share", **columns: object) -> RandomRangeRow:
    curves = {"one <b>": {"a": CURVE, "b": BARE}, "two": {"a": CURVE}}
    return RandomRangeRow(y, {**curves, **columns}, levels=(0.0,))  # type: ignore[arg-type]


def test_every_curve_stands_over_its_own_band() -> None:
    figure = ranges(row(), row("rank")).figure()
    lines = [trace for trace in figure.data if trace.fill is None]
    bands = [trace for trace in figure.data if trace.fill == "toself"]
    assert len(lines) == 6
    assert len(bands) == 4  # none where nothing random is known
    np.testing.assert_allclose(lines[0].y, CURVE.value)
    np.testing.assert_allclose(bands[0].y, [*CURVE.high, *CURVE.low[::-1]])
    assert bands[0].legendgroup == lines[0].legendgroup
    assert [shape.y0 for shape in figure.layout.shapes] == [0.0] * 4


def test_every_row_has_a_legend_of_its_own() -> None:
    figure = ranges(row(), row("rank")).figure()
    named = [(trace.legend, trace.name) for trace in figure.data if trace.showlegend]
    assert named == [("legend", "a"), ("legend", "b"), ("legend2", "a"), ("legend2", "b")]
    assert figure.layout.legend.y > figure.layout.legend2.y
    assert {"share", "rank"} <= {axis.title.text for axis in figure.select_yaxes()}
    assert "one &lt;b&gt;" in {note.text for note in figure.layout.annotations}


def test_rows_of_other_columns_and_curves_of_another_length_are_refused() -> None:
    with pytest.raises(WorkbenchError, match="at least one row"):
        ranges()
    with pytest.raises(WorkbenchError, match="the row 'rank' has the columns"):
        ranges(row(), row("rank", three={"a": CURVE}))
    short = IntervalCurve(*[np.zeros(2)] * 3)
    with pytest.raises(WorkbenchError, match="has 2 points for 3 layers"):
        ranges(row(two={"a": short}))
