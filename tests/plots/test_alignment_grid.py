import numpy as np
import pytest

from workbench.errors import WorkbenchError
from workbench.measure import Estimate
from workbench.plots import AlignmentGrid, GridCell

NAN = float("nan")
STRONG = GridCell(Estimate(-0.5, -0.6, -0.4, 90), 0.9, NAN)
WEAK = GridCell(Estimate(0.1, -0.05, 0.25, 100), 1.0, 0.7)
CONSTANT = GridCell(Estimate(NAN, NAN, NAN, 100), 1.0, 1.0)


def test_colours_intervals_and_what_they_rest_on() -> None:
    figure = AlignmentGrid(
        rows=["own <b>", "third"],
        columns=["text", "expected"],
        cells=[[WEAK, STRONG], [CONSTANT, WEAK]],
        title="t",
        caption="c",
    ).figure()
    grey, rho = figure.data
    np.testing.assert_array_equal(np.asarray(rho.z, dtype=float), [[0.1, -0.5], [NAN, 0.1]])
    np.testing.assert_array_equal(
        np.isnan(np.asarray(grey.z, dtype=float)), [[True, True], [False, True]]
    )
    assert (rho.zmin, rho.zmax) == (-0.5, 0.5)
    texts = {(note.x, note.y): note.text for note in figure.layout.annotations}
    assert texts[0, 0] == "<b>0.10</b> [-0.05, 0.25]<br>read 100\u00a0%<br>at the top 70\u00a0%"
    assert texts[1, 0] == "<b>-0.50</b> [-0.60, -0.40]<br>read 90\u00a0%"
    assert texts[0, 1].startswith("undefined<br>")
    assert figure.layout.yaxis.ticktext[0] == "own &lt;b&gt;"
    assert figure.layout.yaxis.autorange == "reversed"


def test_nothing_defined_still_draws() -> None:
    figure = AlignmentGrid(
        rows=["a"], columns=["b"], cells=[[CONSTANT]], title="t", caption="c"
    ).figure()
    assert figure.data[1].zmax == 0.2


def test_cells_must_fill_the_grid() -> None:
    with pytest.raises(WorkbenchError, match="columns"):
        AlignmentGrid(rows=["a", "b"], columns=["c"], cells=[[WEAK]], title="t", caption="c")
